import math

import numpy as np
import pytest
from scipy.stats import norm

from mlffm_segdiff.study.correlation import rank_correlation


def test_a_hand_worked_case() -> None:
    # ranks of the scores: 1 3 2 5 4; differences 0 1 1 1 1, so rho = 1 - 6 * 4 / (5 * 24)
    found = rank_correlation(np.array([1.0, 2, 3, 4, 5]), np.array([0.1, 0.5, 0.2, 0.9, 0.7]))
    assert found.rho == pytest.approx(0.8)
    width = 1.959964 * math.sqrt((1 + 0.32) / 2)
    assert (found.low, found.high) == pytest.approx(
        (math.tanh(math.atanh(0.8) - width), math.tanh(math.atanh(0.8) + width)), abs=1e-6
    )
    assert found.p == pytest.approx(0.1041, abs=1e-4)  # t = 0.8 sqrt(3 / 0.36), 3 degrees of freedom


def test_the_interval_holds_the_true_correlation_as_often_as_it_says() -> None:
    """Normal pairs of correlation 0.6 have Spearman's rho 6 / pi * asin(0.3)."""
    truth, rng, held = 6 / math.pi * math.asin(0.3), np.random.default_rng(0), 0
    for _ in range(1000):
        x, noise = rng.standard_normal((2, 60))
        found = rank_correlation(x, 0.6 * x + 0.8 * noise)
        held += found.low <= truth <= found.high
    low, high = norm.interval(0.999, 950, math.sqrt(1000 * 0.95 * 0.05))
    assert low <= held <= high


def test_equal_values_have_no_correlation() -> None:
    found = rank_correlation(np.ones(6), np.arange(6.0))
    assert math.isnan(found.rho)
    assert found.p == 1


def test_a_perfect_correlation_has_finite_ends() -> None:
    found = rank_correlation(np.arange(6.0), np.arange(6.0))
    assert found.rho == pytest.approx(1)
    assert 0.9 < found.low <= found.high <= 1


@pytest.mark.parametrize("sizes", [(3, 3), (5, 6)])
def test_too_few_or_unequal_sides_are_errors(sizes: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="at least four pairs"):
        rank_correlation(np.arange(float(sizes[0])), np.arange(float(sizes[1])))
