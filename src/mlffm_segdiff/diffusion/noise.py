"""Noise of samples: the same for every image, so that its name, batch and position do not matter."""

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor


def noise_generators(seed: int, samples: int, images: int) -> list[torch.Generator]:
    """Make one random generator per row, seeded only by the seed and the number of the sample.

    Args:
        seed: Any integer.
        samples: Samples per image.
        images: Images in the batch.

    Returns:
        samples * images generators, sample by sample.
    """
    return [
        torch.Generator().manual_seed(_hash(f"{seed}/{number}"))
        for number in range(samples)
        for _ in range(images)
    ]


def draw_noise(generators: Sequence[torch.Generator], height: int, width: int) -> Tensor:
    """Draw standard normal noise, B1HW on the CPU, row b from generator b."""
    return torch.stack([torch.randn(1, height, width, generator=generator) for generator in generators])


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1
