import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap, norm

from mlffm_segdiff.study.statistics.intervals import bca_interval, bootstrap_ends, seed_spread

SCORES = st.lists(st.floats(0, 1), min_size=2, max_size=12)


def test_the_spread_over_seeds_is_the_sample_standard_deviation() -> None:
    found = seed_spread([0.70, 0.72, 0.77])  # deviations -0.03, -0.01, 0.04: variance 0.0026 / 2
    assert found.mean == pytest.approx(0.73)
    assert found.sd == pytest.approx(math.sqrt(0.0013))


def test_one_seed_has_no_spread() -> None:
    assert seed_spread([0.8]).sd is None


def test_many_values_give_the_interval_of_the_normal_distribution() -> None:
    values = norm.ppf((np.arange(400) + 0.5) / 400)  # symmetric: mean 0, no skew
    found = bca_interval(values)
    half = 1.96 * values.std() / 20
    assert (found.mean, found.low, found.high) == pytest.approx((0, -half, half), abs=0.01)


def test_a_skewed_sample_moves_both_ends_to_its_tail() -> None:
    """What BCa mends (Efron 1987): percentiles of the mean of a skewed sample lie too far from the tail."""
    values = np.random.default_rng(0).exponential(size=30)
    percentile = bootstrap((values,), np.mean, method="percentile", rng=np.random.default_rng(0))
    found = bca_interval(values)
    assert found.low is not None
    assert found.low > percentile.confidence_interval.low
    assert found.high is not None
    assert found.high > percentile.confidence_interval.high


@pytest.mark.parametrize("values", [[0.3, 0.3, 0.3], [0.1 + 0.2, 0.3, 0.3]])
def test_equal_values_are_their_own_interval(values: list[float]) -> None:
    found = bca_interval(values)
    assert (found.mean, found.low, found.high) == pytest.approx((0.3, 0.3, 0.3))


def test_one_value_has_no_interval_and_none_is_an_error() -> None:
    found = bca_interval([0.4])
    assert (found.mean, found.low, found.high) == (0.4, None, None)
    with pytest.raises(ValueError, match="no values"):
        bca_interval([])
    with pytest.raises(ValueError, match="no seed"):
        seed_spread([])


def test_where_bca_is_undefined_percentiles_take_its_place() -> None:
    """The median of a sample that is one value but for one: no resample lies below it."""
    sample = np.array([0.0] * 20 + [1.0])
    assert bootstrap_ends((sample,), lambda x, axis: np.median(x, axis=axis), seed=0) == (0.0, 0.0)


@settings(max_examples=20)
@given(SCORES)
def test_the_ends_are_finite_and_within_the_values(values: list[float]) -> None:
    found = bca_interval(values)
    assert found.low is not None
    assert found.high is not None
    assert min(values) - 1e-9 <= found.low <= found.high <= max(values) + 1e-9


def test_the_interval_moves_with_the_values_and_the_seed_alone_decides() -> None:
    values = np.random.default_rng(3).random(25)
    found, moved, again = bca_interval(values), bca_interval(values + 1), bca_interval(values)
    assert found == again
    assert (moved.low, moved.high) == pytest.approx((found.low + 1, found.high + 1))
    assert bca_interval(values, seed=1) != found
