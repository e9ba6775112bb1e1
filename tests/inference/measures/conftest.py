from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

Mask = npt.NDArray[np.bool_]


@pytest.fixture
def ellipse() -> Callable[..., Mask]:
    """An ellipse on 400 x 500 pixels: ellipse(long half-axis, short half-axis, angle of the long one)."""

    def make(a: float, b: float, angle: float = 0.0) -> Mask:
        y, x = np.mgrid[:400, :500]
        along = (x - 250) * np.cos(angle) + (y - 200) * np.sin(angle)
        across = (y - 200) * np.cos(angle) - (x - 250) * np.sin(angle)
        inside: Mask = (along / a) ** 2 + (across / b) ** 2 <= 1
        return inside

    return make


@pytest.fixture
def rectangle() -> Mask:
    """A rectangle 60 wide and 20 high on 100 x 120 pixels; its first pixel is in row 10 and column 30."""
    mask = np.zeros((100, 120), bool)
    mask[10:30, 30:90] = True
    return mask
