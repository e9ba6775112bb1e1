"""Starting noise of samples: the same for every image, so that neither name, batch nor order matters."""

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor


def noise_generators(seed: int, samples: int, images: int) -> list[torch.Generator]:
    """Return one generator a row, sample by sample, seeded by the seed and the sample's number only."""
    return [
        torch.Generator().manual_seed(_hash(f"{seed}/{number}"))
        for number in range(samples)
        for _ in range(images)
    ]


def starting_noise(generators: Sequence[torch.Generator], height: int, width: int) -> Tensor:
    """Return standard normal noise, B1HW, row b from generator b."""
    return torch.stack([torch.randn(1, height, width, generator=generator) for generator in generators])


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1
