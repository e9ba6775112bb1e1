"""Lines fitted to what was measured."""

import numpy as np
import pytest
from scipy.optimize import curve_fit

from mlffm_segdiff.benchmark.stage_line import fit_line


def test_points_on_a_line_give_the_line() -> None:
    found = fit_line([0.3, 2, 8], [0.11, 0.28, 0.88])
    assert (found.fixed, found.per_megapixel) == pytest.approx((0.08, 0.1))
    assert found.at(4) == pytest.approx(0.48)


def test_relative_errors_count_as_in_scipy_with_sigma() -> None:
    sizes, values = [0.3, 2, 8], [0.1, 0.35, 0.9]
    found = fit_line(sizes, values)
    expected, _ = curve_fit(lambda x, a, b: a + b * x, sizes, values, sigma=values)
    np.testing.assert_allclose((found.fixed, found.per_megapixel), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("values", "fixed"),
    [
        ([0, 0, 0], 0),
        ([-0.1, 0, 0], 0),  # the difference of two measurements
        ([0.3, 0.2, 0.1], (1 / 0.3 + 1 / 0.2 + 1 / 0.1) / (1 / 0.3**2 + 1 / 0.2**2 + 1 / 0.1**2)),
    ],
)
def test_no_coefficient_is_negative(values: list[float], fixed: float) -> None:
    found = fit_line([1, 2, 3], values)
    assert (found.fixed, found.per_megapixel) == (pytest.approx(fixed), 0)
