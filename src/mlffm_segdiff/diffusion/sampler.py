"""Drawing masks: diffusers' schedulers around a denoiser whose image features are cached."""

import warnings
from collections.abc import Callable, Sequence
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
    2022), whose estimates diffusers does not clip.
    """
    settings: dict[str, Any] = {**process.scheduler_settings(), "timestep_spacing": "trailing"}
    clip = {"clip_sample": True, "clip_sample_range": process.mask_scale}
    if sampler == "ddim":
        return DDIMScheduler(**settings, **clip, set_alpha_to_one=True)
    if sampler == "ddpm":
        return DDPMScheduler(**settings, **clip)
    return DPMSolverMultistepScheduler(**settings, algorithm_type="dpmsolver++", final_sigmas_type="zero")


def sample(
    predict: Predict, scheduler: Any, steps: int, noise: Tensor, generators: Sequence[torch.Generator]
) -> Tensor:
    """Return x_0 (B1HW) from ``noise`` (B1HW, standard normal) in ``steps`` steps of ``scheduler``.

    predict: x_t (B1HW) and t (a scalar tensor) to what the scheduler's prediction type says. generators: one
    a row, the source of an ancestral sampler's fresh noise.
    """
    with warnings.catch_warnings():  # diffusers converts tensors in a way that NumPy 2 deprecates
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
        scheduler.set_timesteps(steps)
    x = noise
    for t in scheduler.timesteps:
        x = scheduler.step(predict(x, t), t, x, generator=list(generators), return_dict=False)[0]
    return x
