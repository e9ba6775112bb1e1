"""Drawing masks: diffusers' schedulers around a denoiser whose image features are cached."""

import copy
import warnings
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Literal

import torch
from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler
from torch import Tensor

from mlffm_segdiff.diffusion.process import MaskDiffusion

SamplerName = Literal["ddim", "ddpm", "dpm"]
Predict = Callable[[Tensor, Tensor], Tensor]


def make_scheduler(sampler: SamplerName, process: MaskDiffusion) -> Any:
    """Return diffusers' scheduler for a sampler of this process, its estimates clipped to the mask's range.

    ddim: Song et al. 2021, deterministic. ddpm: ancestral (Ho et al. 2020). dpm: DPM-Solver++ (Lu et al.
    2022), whose estimates diffusers does not clip. A learned variance is ddpm's alone; raises ValueError for
    others.

    The noise schedule is computed once for each sampler and process; the scheduler is the caller's own.
    """
    return copy.deepcopy(_scheduler(sampler, process))


@lru_cache
def _scheduler(sampler: SamplerName, process: MaskDiffusion) -> Any:
    if process.learned_variance and sampler != "ddpm":
        raise ValueError(f"a learned variance is for the sampler ddpm, not {sampler}")
    settings: dict[str, Any] = {**process.scheduler_settings(), "timestep_spacing": "trailing"}
    clip = {"clip_sample": True, "clip_sample_range": process.mask_scale}
    if sampler == "ddim":
        return DDIMScheduler(**settings, **clip, set_alpha_to_one=True)
    if sampler == "ddpm":
        variance = "learned_range" if process.learned_variance else "fixed_small"
        return DDPMScheduler(**settings, **clip, variance_type=variance)
    return DPMSolverMultistepScheduler(**settings, algorithm_type="dpmsolver++", final_sigmas_type="zero")


def sample(
    predict: Predict, scheduler: Any, steps: int, noise: Tensor, generators: Sequence[torch.Generator]
) -> Tensor:
    """Return x_0 (B1HW) from ``noise`` (B1HW, standard normal) in ``steps`` steps of ``scheduler``.

    predict: x_t (B1HW) and t (a scalar tensor) to what the scheduler's prediction type says; with a learned
    variance, its output is a second channel. generators: one a row, the source of an ancestral sampler's
    fresh noise.
    """
    with warnings.catch_warnings():  # diffusers converts tensors in a way that NumPy 2 deprecates
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
        scheduler.set_timesteps(steps)
    x = noise
    for t in scheduler.timesteps:
        output = predict(x, t)
        if t == scheduler.timesteps[-1]:
            output = with_least_variance(output)
        x = scheduler.step(output, t, x, generator=list(generators), return_dict=False)[0]
    return x


def with_least_variance(output: Tensor) -> Tensor:
    """Return an output (B1HW, or B2HW with a learned variance) whose step has the posterior's variance.

    That is 0 for the step to x_0, which diffusers else takes with noise unless it starts at t = 0.
    """
    return torch.cat([output[:, :1], torch.full_like(output[:, 1:], -1)], dim=1)
