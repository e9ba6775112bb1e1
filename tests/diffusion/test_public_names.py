"""The names that `mlffm_segdiff.diffusion` exports."""

import subprocess
import sys
from inspect import isclass, isroutine

import torch

from mlffm_segdiff import diffusion


def test_a_mask_is_sampled_with_public_names_only() -> None:
    process = diffusion.MaskDiffusion(mask_scale=0.5)
    mask = torch.ones(2, 1, 4, 4)
    mask[..., :2] = -1
    generators = diffusion.noise_generators(seed=0, samples=2, images=1)
    drawn = diffusion.sample(
        lambda x_t, t: 0.5 * mask, process, "ddpm", 3, lambda: diffusion.draw_noise(generators, 4, 4)
    )
    samples = (drawn / process.mask_scale + 1).div(2).view(2, 1, 1, 4, 4)
    torch.testing.assert_close(diffusion.fuse(samples, "mean"), (mask[:1] + 1) / 2)


def test_every_public_function_and_class_is_documented() -> None:
    public = {name: getattr(diffusion, name) for name in diffusion.__all__}
    described = {name: member for name, member in public.items() if isroutine(member) or isclass(member)}
    assert set(public) - set(described) == {"Estimate"}  # a type of functions
    texts = {name: member.__doc__ or "" for name, member in described.items()}
    of_dataclass = {name for name, text in texts.items() if text.startswith(f"{name}(")}  # its signature
    assert [name for name, text in texts.items() if not text or name in of_dataclass] == []


def test_nothing_needs_diffusers_but_the_sampler_dpm() -> None:
    program = (
        "import sys; sys.modules['diffusers'] = None; "
        "import mlffm_segdiff.diffusion, mlffm_segdiff.segmenters.pretrained"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=True)
