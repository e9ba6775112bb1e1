"""Milliseconds an image that the training feed costs on one core, whole and by part.

    OMP_NUM_THREADS=1 python benchmarks/bench_augment.py [SIZE]

Pictures are random discs on noise: the cost does not depend on what they show.
"""

import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import count

import numpy as np
import torch

from mlffm_segdiff.data.augment import training_augmentation
from mlffm_segdiff.data.batch import Pair
from mlffm_segdiff.data.dataset import Draw, PairDataset
from mlffm_segdiff.data.distance import signed_distance

PARTS = {
    "nothing": (False, 0.0, 0.0, 0.0, 0.0),
    "flip": (True, 0.0, 0.0, 0.0, 0.0),
    "affine": (False, 1.0, 0.0, 0.0, 0.0),
    "colour": (False, 0.0, 1.0, 0.0, 0.0),
    "blur 0.2": (False, 0.0, 0.0, 0.2, 0.0),
    "hair 0.3": (False, 0.0, 0.0, 0.0, 0.3),
    "all": (True, 1.0, 1.0, 0.2, 0.3),
}


def milliseconds(work: Callable[[int], object], repeats: int = 400, rounds: int = 5) -> float:
    """The quickest of several rounds, a call."""
    numbers = count()
    spans = []
    for _ in range(rounds):
        begin = time.perf_counter()
        for _ in range(repeats):
            work(next(numbers))
        spans.append(time.perf_counter() - begin)
    return 1e3 * min(spans) / repeats


def draw(dataset: PairDataset, number: int) -> Pair:
    return dataset[Draw(*divmod(number, len(dataset)))]


def discs(cases: int, size: int) -> np.ndarray:
    """N,S,S uint8 0/1: discs of a tenth to four tenths of the side."""
    state = np.random.RandomState(0)
    rows, columns = np.mgrid[:size, :size]
    centres, radii = state.uniform(0.3, 0.7, (cases, 2)) * size, state.uniform(0.1, 0.4, cases) * size
    return np.stack(
        [np.hypot(rows - y, columns - x) < r for (y, x), r in zip(centres, radii, strict=True)]
    ).astype(np.uint8)


def main(size: int) -> None:
    torch.set_num_threads(1)
    masks = discs(32, size)
    images = np.random.RandomState(1).randint(0, 256, (32, size, size, 3), np.uint8)
    ids = [str(number) for number in range(32)]
    print(f"{size} x {size}, one thread, ms an image")
    print(f"{'distance alone':16}{milliseconds(lambda n: signed_distance(masks[n % 32] > 0)):6.2f}")
    for name, strengths in PARTS.items():
        dataset = PairDataset(images, masks, ids, training_augmentation(*strengths, size=size), seed=0)
        print(f"{name:16}{milliseconds(partial(draw, dataset)):6.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 128)
