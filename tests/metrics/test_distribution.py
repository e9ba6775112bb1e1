"""Samples against one true mask, by hand-worked cases."""

import numpy as np
import pytest

from mlffm_segdiff.metrics.distribution import score_samples, summarise_samples


def rows(*lengths: int) -> np.ndarray:
    """Return one 1 x 10 mask a length, its first pixels set."""
    return np.stack([np.arange(10)[None] < length for length in lengths])


def test_two_samples_by_hand() -> None:
    found = score_samples(rows(4, 8), rows(8)[0])
    # Jaccard to the truth: 4/8 and 1; between the samples 1/2, with themselves 1
    assert found.jaccard == pytest.approx(0.75)
    assert found.diversity == pytest.approx(0.25)
    assert found.energy_distance == pytest.approx(2 * 0.25 - 0.25)
    assert (found.area_low, found.area_high, found.area) == (4, 8, 8)  # two samples: the range is all of them
    assert found.covered


def test_the_range_of_39_areas_is_from_the_2nd_smallest_to_the_2nd_largest() -> None:
    """A further draw has 40 possible ranks, of which 36 are within: 90 %."""
    samples = np.stack([np.arange(39)[None] < length for length in range(1, 40)])
    found = score_samples(samples, samples[0])
    assert (found.area_low, found.area_high) == (2, 38)


def test_an_area_outside_the_range_is_not_covered() -> None:
    assert [score_samples(rows(4, 6), rows(length)[0]).covered for length in (3, 4, 6, 7)] == [
        False,
        True,
        True,
        False,
    ]


def test_samples_that_are_the_truth_have_distance_zero() -> None:
    found = score_samples(rows(5, 5, 5), rows(5)[0])
    assert (found.jaccard, found.diversity, found.energy_distance) == pytest.approx((1, 0, 0))
    assert found.covered


def test_empty_samples_agree_with_each_other_and_with_an_empty_mask() -> None:
    found = score_samples(rows(0, 0), rows(0)[0])
    assert (found.jaccard, found.diversity) == pytest.approx((1, 0))


def test_the_distance_of_draws_from_the_truths_own_distribution_is_least() -> None:
    """With truths drawn from two masks, samples of both are nearer than of either."""
    truths = [rows(4)[0], rows(8)[0]]

    def distance(*lengths: int) -> float:
        return float(np.mean([score_samples(rows(*lengths), truth).energy_distance for truth in truths]))

    assert distance(4, 8) < min(distance(4), distance(8), distance(6))


def test_a_summary_pools_pixels_by_the_samples_number() -> None:
    scores = [score_samples(rows(4, 8), rows(8)[0]), score_samples(rows(2, 2), rows(4)[0])]
    found = summarise_samples(scores)
    assert found.samples == 2
    assert found.jaccard_pooled == pytest.approx((6 / 12 + 10 / 12) / 2)
    assert found.jaccard == pytest.approx((0.75 + 0.5) / 2)
    assert found.area_coverage == 1 / 2
    assert found.area_width == pytest.approx((4 / 8 + 0) / 2)
