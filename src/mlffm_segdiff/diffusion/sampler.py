"""Sampling masks: DDIM and ancestral sampling (DDPM)."""

from collections.abc import Callable
from itertools import pairwise
from typing import get_args

import torch
from torch import Tensor

from mlffm_segdiff.config.schema import SamplerName
from mlffm_segdiff.diffusion.dpm_solver import sample_dpm
from mlffm_segdiff.diffusion.process import MaskDiffusion

Estimate = Callable[[Tensor, int], Tensor]
"""Estimates the scaled mask x_0 from x_t (both B1HW) and the timestep t."""


def sample(
    estimate: Estimate,
    process: MaskDiffusion,
    sampler: SamplerName,
    steps: int,
    draw_noise: Callable[[], Tensor],
) -> Tensor:
    """Sample scaled masks from noise.

    Args:
        estimate: Estimate of x_0 from x_t and t; DDIM and DDPM clip it to +-``mask_scale``.
        process: The forward process.
        sampler: ``ddim`` (deterministic), ``ddpm`` (ancestral) or ``dpm`` (DPM-Solver++).
        steps: Sampling steps, at most ``process.train_steps``. With 1 the result is the estimate at t = T.
        draw_noise: Returns new standard normal noise (B1HW): once to start, and for each ancestral step.

    Returns:
        x_0, B1HW.

    Raises:
        ValueError: ``sampler`` is unknown, or ``steps`` is out of range.
    """
    if sampler not in get_args(SamplerName):
        raise ValueError(f"unknown sampler {sampler!r}; give one of {', '.join(get_args(SamplerName))}")
    timesteps = sampling_timesteps(process.train_steps, steps)
    if sampler == "dpm":
        return sample_dpm(estimate, process, timesteps, draw_noise)
    alpha_bar = torch.cat(
        [process.alpha_bar, process.alpha_bar.new_ones(1)]
    )  # abar_{-1} = 1: the mask itself
    x = draw_noise()
    for t, following in pairwise([*timesteps, -1]):
        x0, a_t, a_s = estimate(x, t), alpha_bar[t], alpha_bar[following]
        clipped = x0.clamp(-process.mask_scale, process.mask_scale)
        if sampler == "ddim":
            noise = (x - a_t.sqrt() * x0) / (1 - a_t).sqrt()
            x = a_s.sqrt() * clipped + (1 - a_s).sqrt() * noise  # Song et al. 2021, eq. 12, sigma = 0
        else:
            alpha = a_t / a_s
            mean = (a_s.sqrt() * (1 - alpha) * clipped + alpha.sqrt() * (1 - a_s) * x) / (1 - a_t)
            variance = (1 - a_s) / (1 - a_t) * (1 - alpha)
            x = mean + variance.sqrt() * draw_noise()  # Ho et al. 2020, eq. 7
    return x


def sampling_timesteps(train_steps: int, steps: int) -> list[int]:
    """Return the timesteps of a sampler, evenly spaced down from T - 1; the last step then reaches x_0.

    Args:
        train_steps: T.
        steps: Number of timesteps, 1 to T; it need not divide T.

    Raises:
        ValueError: ``steps`` is out of range.
    """
    if not 1 <= steps <= train_steps:
        raise ValueError(f"{steps} sampling steps of a process of {train_steps}; give 1 to {train_steps}")
    return [round(train_steps * (steps - number) / steps) - 1 for number in range(steps)]
