"""Random numbers that belong to a case, whatever batch it is in."""

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor


def case_generators(ids: Sequence[str], seed: int, sample: int) -> list[torch.Generator]:
    """Return one generator a case, seeded by the case's id, the seed and the sample's number alone."""
    return [torch.Generator().manual_seed(_seed(f"{seed}/{sample}/{case}")) for case in ids]


def starting_noise(generators: Sequence[torch.Generator], height: int, width: int) -> Tensor:
    """Return standard normal noise, B1HW, row b from generator b."""
    return torch.stack([torch.randn(1, height, width, generator=generator) for generator in generators])


def _seed(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1
