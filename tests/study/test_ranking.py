import numpy as np
import pandas as pd
import pytest

from mlffm_segdiff.study.ranking import critical_difference, rank_models

DEMSAR = pd.DataFrame(
    [
        (0.763, 0.768, 0.771, 0.798),
        (0.599, 0.591, 0.590, 0.569),
        (0.954, 0.971, 0.968, 0.967),
        (0.628, 0.661, 0.654, 0.657),
        (0.882, 0.888, 0.886, 0.898),
        (0.936, 0.931, 0.916, 0.931),
        (0.661, 0.668, 0.609, 0.685),
        (0.583, 0.583, 0.563, 0.625),
        (0.775, 0.838, 0.866, 0.875),
        (1.000, 1.000, 1.000, 1.000),
        (0.940, 0.962, 0.965, 0.962),
        (0.619, 0.666, 0.614, 0.669),
        (0.972, 0.981, 0.9751, 0.975),  # printed as 0.975 twice, ranked 2 and 3
        (0.957, 0.978, 0.946, 0.970),
    ],
    columns=["C4.5", "C4.5+m", "C4.5+cf", "C4.5+m+cf"],
)
"""AUC of four classifiers on 14 data sets: Demsar 2006, table 6."""


def test_mean_ranks_and_critical_difference_are_those_of_demsar() -> None:
    found = rank_models(DEMSAR)
    assert found.images == 14
    expected = {"C4.5+m+cf": 1.964, "C4.5+m": 2.000, "C4.5+cf": 2.893, "C4.5": 3.143}
    assert list(found.ranks.index) == list(expected)
    assert found.ranks.to_dict() == pytest.approx(expected, abs=5e-4)
    assert found.critical_difference == pytest.approx(1.25, abs=5e-3)


def test_friedman_is_demsars_corrected_for_ties() -> None:
    """His 9.28 over 1 - sum(t^3 - t) / (N (k^3 - k)): three ties of two and one of four, so 1 - 78 / 840."""
    found = rank_models(DEMSAR)
    assert found.statistic == pytest.approx(9.28 / (1 - 78 / 840), abs=0.01)
    assert found.p == pytest.approx(0.0167, abs=2e-4)  # chi-squared of 10.23 with 3 degrees of freedom


def test_nemenyi_at_the_critical_difference_is_the_level() -> None:
    """Rank sums of the table of critical values: q for k = 4 and 0.05 is 2.569 (Demsar 2006, table 5)."""
    assert critical_difference(4, 14) == pytest.approx(2.569 * np.sqrt(4 * 5 / (6 * 14)), abs=1e-3)
    assert critical_difference(10, 30) == pytest.approx(3.164 * np.sqrt(10 * 11 / 180), abs=1e-3)


def test_nemenyi_separates_exactly_what_is_further_apart_than_the_critical_difference() -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.random((40, 5)) + np.array([0, 0.05, 0.2, 0.4, 0.6]), columns=list("abcde"))
    found = rank_models(table)
    for one in table:
        for other in table:
            apart = abs(found.ranks[one] - found.ranks[other]) > found.critical_difference
            assert (found.nemenyi.loc[one, other] < 0.05) == apart
    assert set((found.nemenyi < 0.05).to_numpy().ravel()) == {True, False}


def test_lower_may_be_better_and_images_may_come_in_any_order() -> None:
    found = rank_models(-DEMSAR, higher_is_better=False)
    shuffled = rank_models(DEMSAR.sample(frac=1, random_state=1))
    for other in (found, shuffled):
        pd.testing.assert_series_equal(other.ranks, rank_models(DEMSAR).ranks)
        assert other.p == pytest.approx(rank_models(DEMSAR).p)


def test_where_all_tie_nothing_differs() -> None:
    found = rank_models(pd.DataFrame(np.ones((5, 3)), columns=list("abc")))
    assert (found.statistic, found.p) == (0.0, 1.0)
    assert found.ranks.tolist() == [2, 2, 2]
    assert (found.nemenyi == 1).all(axis=None)


def test_sums_in_another_order_tie() -> None:
    table = pd.DataFrame({"a": [0.1 + 0.2] * 4, "b": [0.3] * 4, "c": [0.3] * 4})
    assert rank_models(table).p == 1.0


def test_too_few_models_or_images_cannot_be_ranked() -> None:
    with pytest.raises(ValueError, match="2 models on 14 images cannot be ranked"):
        rank_models(DEMSAR.iloc[:, :2])
    with pytest.raises(ValueError, match="4 models on 1 images"):
        rank_models(DEMSAR.iloc[:1])
