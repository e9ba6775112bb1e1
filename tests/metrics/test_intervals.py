import math
from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap, norm

from mlffm_segdiff.metrics.intervals import Interval, mean_difference_interval, mean_interval

module = import_module("mlffm_segdiff.metrics.intervals")
SCORES = st.lists(st.floats(0, 1), min_size=2, max_size=12)


def test_many_values_give_the_interval_of_the_normal_distribution() -> None:
    values = norm.ppf((np.arange(400) + 0.5) / 400)  # symmetric: mean 0, no skew
    found = mean_interval(values)
    half = 1.96 * values.std() / 20
    assert (found.mean, found.low, found.high) == pytest.approx((0, -half, half), abs=0.01)


def test_a_skewed_sample_moves_both_ends_to_its_tail() -> None:
    """What BCa corrects (Efron 1987): percentiles of a skewed sample's mean are too far from the tail."""
    values = np.random.default_rng(0).exponential(size=30)
    percentile = bootstrap((values,), np.mean, method="percentile", rng=np.random.default_rng(0))
    found = mean_interval(values)
    assert found.low is not None
    assert found.low > percentile.confidence_interval.low
    assert found.high is not None
    assert found.high > percentile.confidence_interval.high


@pytest.mark.parametrize("values", [[0.3, 0.3, 0.3], [0.1 + 0.2, 0.3, 0.3]])
def test_equal_values_are_their_own_interval(values: list[float]) -> None:
    found = mean_interval(values)
    assert (found.mean, found.low, found.high) == pytest.approx((0.3, 0.3, 0.3))


def test_one_value_has_no_interval_and_none_is_an_error() -> None:
    found = mean_interval([0.4])
    assert (found.mean, found.low, found.high) == (0.4, None, None)
    with pytest.raises(ValueError, match="no values"):
        mean_interval([])


def test_two_values_span_the_interval() -> None:
    """The jackknife of two values has no skew to correct, so BCa is the percentile method here."""
    assert mean_interval([0.0, 1.0]) == Interval(0.5, 0.0, 1.0)


def test_percentiles_where_bca_is_undefined(monkeypatch: pytest.MonkeyPatch) -> None:
    methods = []

    def undefined(*samples: object, method: str, **options: object) -> object:
        methods.append(method)
        end = math.nan if method == "BCa" else 0.5
        return SimpleNamespace(confidence_interval=SimpleNamespace(low=end, high=end))

    monkeypatch.setattr(module, "bootstrap", undefined)
    assert mean_interval([0.4, 0.6]) == Interval(0.5, 0.5, 0.5)
    assert methods == ["BCa", "percentile"]


def test_the_interval_of_a_difference_is_scipys() -> None:
    rng = np.random.default_rng(2)
    one, other = rng.beta(8, 1, 40), rng.beta(6, 1, 30)
    expected = bootstrap(
        (one, other),
        lambda x, y, axis: np.mean(x, axis=axis) - np.mean(y, axis=axis),
        n_resamples=9999,
        batch=1000,
        method="BCa",
        rng=np.random.default_rng(0),
    ).confidence_interval
    found = mean_difference_interval(one, other)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.mean == pytest.approx(one.mean() - other.mean())


@settings(max_examples=20)
@given(SCORES)
def test_the_ends_are_finite_and_within_the_values(values: list[float]) -> None:
    found = mean_interval(values)
    assert found.low is not None
    assert found.high is not None
    assert min(values) - 1e-9 <= found.low <= found.high <= max(values) + 1e-9


def test_the_interval_moves_with_the_values_and_is_fixed_by_the_seed() -> None:
    values = np.random.default_rng(3).random(25)
    found, moved, again = mean_interval(values), mean_interval(values + 1), mean_interval(values)
    assert found == again
    assert (moved.low, moved.high) == pytest.approx((found.low + 1, found.high + 1))
    assert mean_interval(values, seed=1) != found


def test_ends_as_text() -> None:
    assert Interval(0.0, -0.1, 0.2).ends(sign="+") == "-0.1000 to +0.2000"
    assert Interval(0.5, 0.4, 0.6).ends(digits=2) == "0.40 to 0.60"
    assert Interval(0.5, None, None).ends() == "one image"
