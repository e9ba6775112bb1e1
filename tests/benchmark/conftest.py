from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from mlffm_segdiff.benchmark.subject import Subject, load_subject

Weights = Callable[..., Path]


@pytest.fixture(scope="session")
def tiny_weights(untrained: Weights) -> Weights:
    """Folders of weights at 64 x 64, the least that SwinUNETR takes: tiny_weights(recipe, key=value, ...)."""
    return lambda name, *changes: untrained(name, "data.size=64", *changes)


@pytest.fixture
def subject(tiny_weights: Weights) -> Subject:
    """Tiny weights under a clock that ticks one second at each look: every call takes a second."""
    ticks = count()
    made = load_subject(str(tiny_weights("isic2018", "model.size=tiny")), "float32", repeats=2, images=9)
    return replace(made, clock=lambda: float(next(ticks)))
