"""The forward process over masks, and the three things a network may predict about it."""

from dataclasses import dataclass
from typing import Literal

import torch
from diffusers import DDPMScheduler
from torch import Tensor

Objective = Literal["x0", "epsilon", "v"]
Schedule = Literal["cosine", "linear"]

DIFFUSERS_SCHEDULE = {"cosine": "squaredcos_cap_v2", "linear": "linear"}
DIFFUSERS_OBJECTIVE = {"x0": "sample", "epsilon": "epsilon", "v": "v_prediction"}


@dataclass(frozen=True)
class MaskDiffusion:
    """x_t = sqrt(abar_t) s m + sqrt(1 - abar_t) e, with masks m = +-1 scaled by s = ``mask_scale``.

    A scale below 1 lowers the signal at every t (Chen et al. 2022), so that x_t gives the mask away less.
    beta_start and beta_end belong to the linear schedule (Ho et al. 2020); cosine is
    Nichol & Dhariwal's (2021). learned_variance: the network has a second output, of the reverse steps'
    variance; see ``ReverseStep``.
    """

    objective: Objective = "x0"
    schedule: Schedule = "cosine"
    train_steps: int = 1000
    beta_start: float = 1e-4
    beta_end: float = 0.02
    mask_scale: float = 1.0
    learned_variance: bool = False

    def scheduler_settings(self) -> dict[str, object]:
        """Return the settings that every diffusers scheduler of this process shares."""
        return {
            "num_train_timesteps": self.train_steps,
            "beta_schedule": DIFFUSERS_SCHEDULE[self.schedule],
            "beta_start": self.beta_start,
            "beta_end": self.beta_end,
            "prediction_type": DIFFUSERS_OBJECTIVE[self.objective],
        }

    def betas(self) -> Tensor:
        """Return beta_t for t = 0 .. train_steps - 1 (float32, in (0, 1))."""
        betas: Tensor = DDPMScheduler(**self.scheduler_settings()).betas
        return betas

    def alphas_cumprod(self) -> Tensor:
        """Return abar_t for t = 0 .. train_steps - 1 (float32, decreasing, in (0, 1))."""
        alphas: Tensor = DDPMScheduler(**self.scheduler_settings()).alphas_cumprod
        return alphas


def draw_times(count: int, train_steps: int, noisy_bias: float, device: torch.device) -> Tensor:
    """Draw ``count`` times in 0 .. train_steps - 1, t/T = u^(1/noisy_bias); 1 is uniform, more is noisier."""
    u = torch.rand(count, device=device) ** (1 / noisy_bias)
    return (u * train_steps).long().clamp(max=train_steps - 1)


def add_noise(x0: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    """Return x_t = sqrt(abar) x0 + sqrt(1 - abar) noise (Ho et al. 2020, eq. 4).

    x0, noise: BCHW. alpha_bar: B111, as in the two functions below.
    """
    return alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * noise


def velocity(x0: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    """Return v = sqrt(abar) noise - sqrt(1 - abar) x0 (Salimans & Ho 2022)."""
    return alpha_bar.sqrt() * noise - (1 - alpha_bar).sqrt() * x0


def clean_estimate(output: Tensor, x_t: Tensor, alpha_bar: Tensor, objective: Objective) -> Tensor:
    """Return x0-hat from a network's epsilon or v output (for x0 the output already is it)."""
    if objective == "epsilon":
        return (x_t - (1 - alpha_bar).sqrt() * output) / alpha_bar.sqrt()
    if objective == "v":
        return alpha_bar.sqrt() * x_t - (1 - alpha_bar).sqrt() * output
    return output
