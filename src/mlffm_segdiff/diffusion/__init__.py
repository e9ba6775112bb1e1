"""Diffusion over masks: the forward process, its noise, samplers and the fusion of samples.

`MaskDiffusion` fixes the noise schedule, `add_noise` noises masks for training, `sample` draws masks from
noise with any estimate of the clean mask, and `fuse` turns several samples into one probability map.
"""

from mlffm_segdiff.diffusion.fusion import fuse, staple_probability
from mlffm_segdiff.diffusion.noise import draw_noise, noise_generators
from mlffm_segdiff.diffusion.process import MaskDiffusion, add_noise, sample_timesteps, velocity
from mlffm_segdiff.diffusion.sampler import Estimate, sample, sampling_timesteps

__all__ = [
    "Estimate",
    "MaskDiffusion",
    "add_noise",
    "draw_noise",
    "fuse",
    "noise_generators",
    "sample",
    "sample_timesteps",
    "sampling_timesteps",
    "staple_probability",
    "velocity",
]
