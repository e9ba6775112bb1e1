import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, wilcoxon

from mlffm_segdiff.study.differences import compare_paired, compare_unpaired, holm, rank_biserial, wilcoxon_p

DARWIN = np.array([6, 8, 14, 16, 23, 24, 28, 29, 41, -48, 49, 56, 60, -67, 75], dtype=float)
"""Heights of cross- less self-fertilised plants, the example of scipy.stats.wilcoxon."""
C45 = np.array([0.763, 0.599, 0.954, 0.628, 0.882, 0.936, 0.661, 0.583, 0.775, 1, 0.940, 0.619, 0.972, 0.957])
C45_M = np.array(
    [0.768, 0.591, 0.971, 0.661, 0.888, 0.931, 0.668, 0.583, 0.838, 1, 0.962, 0.666, 0.981, 0.978]
)
"""AUC of two classifiers on 14 data sets: Demsar 2006, table 2."""
SCORES = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=7)


def test_wilcoxon_is_that_of_scipys_documentation() -> None:
    assert wilcoxon_p(DARWIN) == pytest.approx(0.041259765625)  # statistic 24, exact


def test_the_effect_of_that_example_by_hand() -> None:
    """|-48| ranks 10th and |-67| 14th of 15: R- = 24, R+ = 120 - 24."""
    assert rank_biserial(DARWIN) == pytest.approx((96 - 24) / 120)


def test_zeros_are_ranked_and_count_for_neither_side() -> None:
    """|d| = 0, 0, 1, 2, 3 rank 1.5, 1.5, 3, 4, 5: R+ = 3 + 5, R- = 4, of 15."""
    assert rank_biserial(np.array([0.0, 1, 0, -2, 3])) == pytest.approx(4 / 15)


def test_demsars_example() -> None:
    """R+ = 93 and R- = 12, for which he splits the ranks of the zeros; of 14 * 15 / 2."""
    found = compare_paired(C45_M, C45)
    assert found.images == 14
    assert found.interval.mean == pytest.approx(0.0155)
    assert found.effect == pytest.approx((93 - 12) / 105)
    assert found.p < 0.05  # 12 is below the critical value of 21


def test_no_difference_anywhere_is_p_1_and_no_effect() -> None:
    found = compare_paired(C45, C45)
    assert (found.p, found.effect) == (1.0, 0.0)
    assert (found.interval.mean, found.interval.low, found.interval.high) == (0, 0, 0)


def test_what_rounding_makes_is_not_a_difference() -> None:
    found = compare_paired(np.array([0.1 + 0.2, 0.5]), np.array([0.3, 0.5]))
    assert (found.p, found.effect) == (1.0, 0.0)


@pytest.mark.parametrize("base", [0.0, 0.1, 0.7, 0.45])
def test_equal_differences_tie_whatever_the_scores(base: float) -> None:
    scores = np.full(7, base)
    change = np.array([0.1] * 6 + [-0.1])
    found = compare_paired(scores + change, scores)
    # all ranks are (1 + ... + 7) / 7 = 4: the effect is (6 - 1) 4 / 28, and |W - E| as large in both tails
    assert found.effect == pytest.approx(5 / 7)
    assert found.p == wilcoxon(change, zero_method="pratt").pvalue


def test_every_image_better_is_effect_1() -> None:
    assert compare_paired(C45 + np.linspace(0.01, 0.02, 14), C45).effect == 1.0


def test_scores_must_pair() -> None:
    with pytest.raises(ValueError, match="14 scores cannot be paired with 3"):
        compare_paired(C45, C45[:3])


def test_holm_by_hand() -> None:
    """Sorted 0.01, 0.03, 0.04 times 3, 2, 1, never falling: 0.03, 0.06, 0.06."""
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []
    assert holm([0.01, math.nan, 0.04]) == pytest.approx([0.02, math.nan, 0.04], nan_ok=True)


@settings(max_examples=40)
@given(SCORES)
def test_the_other_way_round_turns_the_signs_and_keeps_p(pairs: list[tuple[float, float]]) -> None:
    one, other = np.array(pairs).T
    assert rank_biserial(one - other) == pytest.approx(-rank_biserial(other - one))
    assert -1 <= rank_biserial(one - other) <= 1
    assert wilcoxon_p(one - other) == pytest.approx(wilcoxon_p(other - one))


@settings(max_examples=40)
@given(SCORES, st.randoms(use_true_random=False))
def test_the_order_of_images_changes_nothing(pairs: list[tuple[float, float]], random: object) -> None:
    shuffled = list(pairs)
    random.shuffle(shuffled)
    found, again = (np.subtract(*np.array(some).T) for some in (pairs, shuffled))
    assert rank_biserial(found) == pytest.approx(rank_biserial(again))
    assert wilcoxon_p(found) == pytest.approx(wilcoxon_p(again))
    assert found.mean() == pytest.approx(again.mean())


@settings(max_examples=40)
@given(SCORES)
def test_p_is_a_probability_with_any_ties(pairs: list[tuple[float, float]]) -> None:
    one, other = np.array(pairs).round(1).T
    assert 0 <= wilcoxon_p(one - other) <= 1


MALES = np.array([19, 22, 16, 29, 24], dtype=float)
FEMALES = np.array([20, 11, 17, 12], dtype=float)
"""Ages at a diagnosis: the example of scipy.stats.mannwhitneyu."""
SIDES = st.lists(st.floats(0, 1), min_size=2, max_size=8)


def test_the_example_of_scipys_documentation() -> None:
    """U = 17, exact p 0.1111; of 20 pairs 17 are for the first and 3 for the second."""
    found = compare_unpaired(MALES, FEMALES)
    assert found.p == pytest.approx(0.1111111, abs=1e-6)
    assert found.effect == pytest.approx((17 - 3) / 20)
    assert found.interval.mean == pytest.approx(22 - 15)


def test_the_interval_of_large_samples_is_the_normal_one() -> None:
    values = norm.ppf((np.arange(300) + 0.5) / 300)
    found = compare_unpaired(values + 1, values)
    half = 1.96 * values.std() * np.sqrt(2 / 300)
    assert (found.interval.low, found.interval.high) == pytest.approx((1 - half, 1 + half), abs=0.01)


def test_equal_scores_on_different_images_do_not_differ() -> None:
    found = compare_unpaired(np.full(3, 0.5), np.full(4, 0.5))
    assert (found.p, found.effect) == (1.0, 0.0)
    assert (found.interval.mean, found.interval.low, found.interval.high) == (0, 0, 0)


def test_one_image_has_no_interval_and_none_is_an_error() -> None:
    found = compare_unpaired(np.array([0.5]), np.array([0.1, 0.2]))
    assert found.interval.low is None
    assert found.effect == 1
    with pytest.raises(ValueError, match="empty"):
        compare_unpaired(np.array([]), np.array([0.1]))


@settings(max_examples=20)
@given(SIDES, SIDES)
def test_swapping_two_sets_of_images_turns_the_signs(one: list[float], other: list[float]) -> None:
    found, turned = (
        compare_unpaired(np.array(one), np.array(other)),
        compare_unpaired(np.array(other), np.array(one)),
    )
    assert found.effect == pytest.approx(-turned.effect)
    assert found.interval.mean == pytest.approx(-turned.interval.mean)
    assert found.p == pytest.approx(turned.p)
    assert np.isfinite([found.interval.low, found.interval.high]).all()
