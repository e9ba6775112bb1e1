"""The forward process over masks: its noise schedule, noised masks and the timesteps of training."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from mlffm_segdiff.config.diffusion_config import ScheduleName

FLOATS: dict[str, Any] = {"dtype": torch.float32, "device": "cpu"}
"""Dtype and device of the schedule, whatever the defaults of torch."""


@dataclass(frozen=True)
class MaskDiffusion:
    """The forward process x_t = sqrt(abar_t) s m + sqrt(1 - abar_t) noise over masks m = +-1.

    Args:
        schedule: ``cosine`` (Nichol & Dhariwal 2021, eq. 17) or ``linear`` (Ho et al. 2020).
        train_steps: Number of timesteps T; timesteps are 0 to T - 1.
        beta_start: First beta of the linear schedule, in (0, 1), at most the last.
        beta_end: Last beta of the linear schedule, in (0, 1).
        mask_scale: s in (0, 1]. A scale below 1 lowers the signal at every timestep (Chen et al. 2022,
            arXiv:2210.06366), so that x_t reveals less of the mask.
    """

    schedule: ScheduleName = "cosine"
    train_steps: int = 1000
    beta_start: float = 1e-4
    beta_end: float = 0.02
    mask_scale: float = 1.0

    def betas(self) -> Tensor:
        """Return the variance beta_t that each timestep adds: T values in (0, 1), float32.

        Raises:
            ValueError: The schedule is unknown.
        """
        if self.schedule == "linear":
            return torch.linspace(self.beta_start, self.beta_end, self.train_steps, **FLOATS)
        if self.schedule != "cosine":
            raise ValueError(f"unknown schedule {self.schedule!r}; give 'cosine' or 'linear'")
        signal = [
            math.cos((step / self.train_steps + 0.008) / 1.008 * math.pi / 2) ** 2
            for step in range(self.train_steps + 1)
        ]
        steps = range(self.train_steps)
        return torch.tensor([min(1 - signal[t + 1] / signal[t], 0.999) for t in steps], **FLOATS)

    @cached_property
    def alpha_bar(self) -> Tensor:
        """The signal share abar_t of each timestep: T decreasing values in (0, 1), float32."""
        return torch.cumprod(1 - self.betas(), dim=0)


def sample_timesteps(
    count: int, train_steps: int, noisy_bias: float = 1.0, device: torch.device | None = None
) -> Tensor:
    """Sample training timesteps from torch's global generator.

    Args:
        count: Number of timesteps.
        train_steps: T.
        noisy_bias: t / T is u^(1 / noisy_bias) with u uniform in [0, 1]. 1 makes all timesteps equally
            likely; more favours the noisy end.
        device: Device of the result; the CPU by default.

    Returns:
        int64 timesteps in 0 .. T - 1.
    """
    u = torch.rand(count, device=device) ** (1 / noisy_bias)
    return (u * train_steps).long().clamp(max=train_steps - 1)


def add_noise(x0: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    """Noise a scaled mask: x_t = sqrt(abar) x0 + sqrt(1 - abar) noise (Ho et al. 2020, eq. 4).

    Args:
        x0: Scaled masks, B1HW.
        noise: Standard normal noise, B1HW.
        alpha_bar: Signal share at each row's timestep, B111.

    Returns:
        x_t, B1HW.
    """
    return alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * noise


def velocity(x0: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    """Compute v = sqrt(abar) noise - sqrt(1 - abar) x0 (Salimans & Ho 2022, arXiv:2202.00512).

    Args:
        x0: Scaled masks, B1HW.
        noise: Standard normal noise, B1HW.
        alpha_bar: Signal share at each row's timestep, B111.

    Returns:
        v, B1HW.
    """
    return alpha_bar.sqrt() * noise - (1 - alpha_bar).sqrt() * x0
