"""Noise of samples: the same for every image, so that its name, batch and position do not matter."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import count

import torch
from torch import Tensor
from torch.quasirandom import SobolEngine

NoiseSource = Callable[[int, int, int, int], Iterator[Tensor]]
"""A function of seed, samples, height and width that draws as `noise_stream` does."""


def noise_stream(seed: int, samples: int, height: int, width: int) -> Iterator[Tensor]:
    """Yield standard normal noise for the samples of one image, new noise at each step.

    Args:
        seed: Any integer.
        samples: Number of samples N.
        height: Height in pixels.
        width: Width in pixels.

    Yields:
        N1HW float32 on the CPU, without end.
    """
    generators = noise_generators(seed, samples, 1)
    while True:
        yield draw_noise(generators, height, width)


class HeldNoise:
    """The noise of `noise_stream`, drawn once and kept, so that a trace finds constants."""

    def __init__(self) -> None:
        self._kept: dict[tuple[int, int, int, int], tuple[Iterator[Tensor], list[Tensor]]] = {}

    def __call__(self, seed: int, samples: int, height: int, width: int) -> Iterator[Tensor]:
        """Yield the noise of `noise_stream`."""
        key = (seed, samples, height, width)
        source, drawn = self._kept.setdefault(key, (noise_stream(*key), []))
        for number in count():
            if number == len(drawn):
                drawn.append(next(source))
            yield drawn[number]


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


@lru_cache(maxsize=64)  # a trace after a first run finds constants
def sample_levels(seed: int, samples: int) -> tuple[float, ...]:
    """Return a standard normal number for each sample, evenly spread and in pairs of opposite sign.

    The pairs (antithetic variates, Hammersley & Morton 1956) cancel out in the mean of an even number of
    samples. Their sizes follow a scrambled Sobol sequence, so that few samples cover the distribution. A
    number depends only on the seed and the number of the sample.

    Args:
        seed: Any integer.
        samples: Number of samples.
    """
    seed_of_levels = _hash(f"{seed}/level")
    sequence = SobolEngine(1, scramble=True, seed=seed_of_levels)  # type: ignore[no-untyped-call]
    sizes = torch.special.ndtri((1 + sequence.draw((samples + 1) // 2, dtype=torch.float64)) / 2)
    return tuple(torch.cat([sizes, -sizes], dim=1).flatten().tolist()[:samples])


def draw_noise(generators: Sequence[torch.Generator], height: int, width: int) -> Tensor:
    """Draw standard normal noise, row b from generator b.

    Args:
        generators: Random generator of each row, B; their state advances.
        height: Height in pixels.
        width: Width in pixels.

    Returns:
        B1HW float32 on the CPU.
    """
    rows = (
        torch.randn(1, height, width, generator=generator, dtype=torch.float32, device="cpu")
        for generator in generators
    )
    return torch.stack(list(rows))


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1
