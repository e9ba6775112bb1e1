import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from mlffm_segdiff.study.statistics.unpaired import compare_unpaired

MALES = np.array([19, 22, 16, 29, 24], dtype=float)
FEMALES = np.array([20, 11, 17, 12], dtype=float)
"""Ages at a diagnosis: the example of scipy.stats.mannwhitneyu."""
SCORES = st.lists(st.floats(0, 1), min_size=2, max_size=8)


def test_the_example_of_scipys_documentation() -> None:
    """U = 17, exact p 0.1111; of 20 pairs 17 are for the first and 3 for the second."""
    found = compare_unpaired(MALES, FEMALES)
    assert found.p == pytest.approx(0.1111111, abs=1e-6)
    assert found.effect == pytest.approx((17 - 3) / 20)
    assert found.difference.mean == pytest.approx(22 - 15)


def test_the_interval_of_large_samples_is_the_normal_one() -> None:
    values = norm.ppf((np.arange(300) + 0.5) / 300)
    found = compare_unpaired(values + 1, values)
    half = 1.96 * values.std() * np.sqrt(2 / 300)
    assert (found.difference.low, found.difference.high) == pytest.approx((1 - half, 1 + half), abs=0.01)


def test_equal_scores_do_not_differ() -> None:
    found = compare_unpaired(np.full(3, 0.5), np.full(4, 0.5))
    assert (found.p, found.effect) == (1.0, 0.0)
    assert (found.difference.mean, found.difference.low, found.difference.high) == (0, 0, 0)


def test_one_image_has_no_interval_and_none_is_an_error() -> None:
    found = compare_unpaired(np.array([0.5]), np.array([0.1, 0.2]))
    assert found.difference.low is None
    assert found.effect == 1
    with pytest.raises(ValueError, match="empty"):
        compare_unpaired(np.array([]), np.array([0.1]))


@settings(max_examples=20)
@given(SCORES, SCORES)
def test_the_other_way_round_turns_the_signs(one: list[float], other: list[float]) -> None:
    found, turned = (
        compare_unpaired(np.array(one), np.array(other)),
        compare_unpaired(np.array(other), np.array(one)),
    )
    assert found.effect == pytest.approx(-turned.effect)
    assert found.difference.mean == pytest.approx(-turned.difference.mean)
    assert found.p == pytest.approx(turned.p)
    assert np.isfinite([found.difference.low, found.difference.high]).all()
