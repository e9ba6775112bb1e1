"""The training feed on one core, whole and by part; time a call is that of one image.

    OMP_NUM_THREADS=1 pytest benchmarks/bench_augment.py

Pictures are random discs on noise: the cost does not depend on what they show.
"""

from itertools import count

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from mlffm_segdiff.data.augment import training_augmentation
from mlffm_segdiff.data.dataset import Draw, PairDataset
from mlffm_segdiff.data.distance import signed_distance

SIZE, CASES = 128, 32
PARTS = {
    "nothing": (False, 0.0, 0.0, 0.0, 0.0),
    "flip": (True, 0.0, 0.0, 0.0, 0.0),
    "affine": (False, 1.0, 0.0, 0.0, 0.0),
    "colour": (False, 0.0, 1.0, 0.0, 0.0),
    "blur 0.2": (False, 0.0, 0.0, 0.2, 0.0),
    "hair 0.3": (False, 0.0, 0.0, 0.0, 0.3),
    "all": (True, 1.0, 1.0, 0.2, 0.3),
}


@pytest.fixture(scope="module")
def masks() -> np.ndarray:
    """N,S,S uint8 0/1: discs of a tenth to four tenths of the side."""
    state = np.random.RandomState(0)
    rows, columns = np.mgrid[:SIZE, :SIZE]
    centres, radii = state.uniform(0.3, 0.7, (CASES, 2)) * SIZE, state.uniform(0.1, 0.4, CASES) * SIZE
    return np.stack(
        [np.hypot(rows - y, columns - x) < r for (y, x), r in zip(centres, radii, strict=True)]
    ).astype(np.uint8)


def test_distance(benchmark: BenchmarkFixture, masks: np.ndarray) -> None:
    numbers = count()
    benchmark(lambda: signed_distance(masks[next(numbers) % CASES] > 0))


@pytest.mark.parametrize("part", PARTS)
def test_augmented_pair(benchmark: BenchmarkFixture, masks: np.ndarray, part: str) -> None:
    images = np.random.RandomState(1).randint(0, 256, (CASES, SIZE, SIZE, 3), np.uint8)
    ids = [str(number) for number in range(CASES)]
    augmentation = training_augmentation(*PARTS[part], size=SIZE)
    dataset, numbers = PairDataset(images, masks, ids, augmentation, seed=0), count()
    benchmark(lambda: dataset[Draw(*divmod(next(numbers), CASES))])
