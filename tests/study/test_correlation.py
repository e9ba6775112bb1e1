import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import norm, rankdata, spearmanr
from statsmodels.api import OLS, add_constant

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


@given(arrays(float, (12, 2), elements=st.integers(0, 6)))
def test_the_correlation_is_that_of_scipy(pairs: np.ndarray) -> None:
    found = rank_correlation(*pairs.T)
    if min(np.ptp(pairs, axis=0)) > 0:
        expected = spearmanr(*pairs.T)
        assert (found.rho, found.p) == pytest.approx((expected.statistic, expected.pvalue), abs=1e-6)
    else:
        assert math.isnan(found.rho)


def test_the_partial_correlation_of_one_control_is_the_closed_form() -> None:
    rng = np.random.default_rng(1)
    z = rng.standard_normal(80)
    x, y = z + rng.standard_normal(80), z + rng.standard_normal(80)
    (xy, xz), yz = spearmanr(np.column_stack([x, y, z])).statistic[0, 1:], spearmanr(y, z).statistic
    expected = (xy - xz * yz) / math.sqrt((1 - xz**2) * (1 - yz**2))
    found = rank_correlation(x, y, z[:, None])
    assert found.rho == pytest.approx(expected)
    assert found.p > 0.01 > rank_correlation(x, y).p  # what x and y share is z


def test_the_p_value_given_two_controls_is_that_of_a_regression_of_the_ranks() -> None:
    x, y, z, w = np.random.default_rng(2).standard_normal((4, 25)) + np.linspace(0, 2, 25)
    ranks = rankdata([x, y, z, w], axis=1)
    expected = OLS(ranks[1], add_constant(ranks[[0, 2, 3]].T)).fit().pvalues[1]
    assert rank_correlation(x, y, np.column_stack([z, w])).p == pytest.approx(expected)


def test_the_partial_interval_holds_the_true_correlation_as_often_as_it_says() -> None:
    """Independent of each other given a control that both depend on, the true one is nearly 0."""
    rng, held = np.random.default_rng(3), 0
    for _ in range(1000):
        x, y, z = rng.standard_normal((3, 40))
        found = rank_correlation(x + z, y + z, z[:, None])
        held += found.low <= 0 <= found.high
    low, high = norm.interval(0.999, 950, math.sqrt(1000 * 0.95 * 0.05))
    assert low <= held <= high


def test_a_property_that_a_control_repeats_has_no_correlation_of_its_own() -> None:
    values = np.arange(9.0)
    assert math.isnan(rank_correlation(values, values[::-1] ** 2, np.column_stack([values, values])).rho)


def test_values_that_differ_by_rounding_are_equal() -> None:
    scores = np.array([0.5, 0.5, 0.7, 0.8, 0.9])
    values = np.array([1.0, 2.0, 4.0, 3.0, 5.0])
    rounded = scores + 1e-16 * np.array([0, 3, 0, 0, 0])
    assert rounded[0] != rounded[1]
    assert rank_correlation(values, rounded) == rank_correlation(values, scores)


def test_equal_values_have_no_correlation() -> None:
    found = rank_correlation(np.ones(6), np.arange(6.0))
    assert math.isnan(found.rho)
    assert math.isnan(found.p)


def test_a_perfect_correlation_has_finite_ends() -> None:
    found = rank_correlation(np.arange(6.0), np.arange(6.0))
    assert found.rho == pytest.approx(1)
    assert 0.9 < found.low <= found.high <= 1


@pytest.mark.parametrize(("images", "controls"), [(0, 0), (3, 0), (5, 2)])
def test_too_few_images_have_no_correlation(images: int, controls: int) -> None:
    values = np.arange(float(images))
    found = rank_correlation(values, values, np.ones((images, controls)))
    assert math.isnan(found.rho)
    assert found.images == images
