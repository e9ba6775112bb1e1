import math

import numpy as np
import pytest

from mlffm_segdiff.metrics.case_scores import CaseScores, score_case

EMPTY, FULL = np.zeros((3, 4), bool), np.ones((3, 4), bool)
SPOT = EMPTY.copy()
SPOT[1, 1] = True
DIAGONAL = 5.0  # of 3 x 4 pixels


def ratios(scores: CaseScores) -> list[float]:
    return [scores.precision, scores.recall, scores.dice, scores.jaccard, scores.thresholded_jaccard]


def test_both_empty_is_a_perfect_case() -> None:
    scores = score_case(EMPTY, EMPTY)
    assert [scores.accuracy, scores.specificity, *ratios(scores)] == [1.0] * 7
    assert (scores.hd95, scores.hd95_percent, scores.assd, scores.boundary_dice) == (0, 0, 0, 1)


@pytest.mark.parametrize(
    ("predicted", "truth", "specificity"),
    [(EMPTY, SPOT, 1.0), (SPOT, EMPTY, 11 / 12)],
    ids=["missed", "invented"],
)
def test_one_empty_mask_scores_nothing_and_is_as_far_off_as_the_image_is_large(
    predicted: np.ndarray, truth: np.ndarray, specificity: float
) -> None:
    scores = score_case(predicted, truth)
    assert ratios(scores) == [0] * 5
    assert (scores.hd95, scores.assd, scores.boundary_dice) == (DIAGONAL, DIAGONAL, 0)
    assert scores.hd95_percent == 100
    assert scores.specificity == pytest.approx(specificity)
    assert scores.accuracy == pytest.approx(11 / 12)


def test_the_penalty_exceeds_every_distance_that_two_pixels_can_have() -> None:
    corner, opposite = EMPTY.copy(), EMPTY.copy()
    corner[0, 0] = opposite[-1, -1] = True
    assert score_case(corner, opposite).hd95 == pytest.approx(math.hypot(2, 3))
    assert score_case(corner, EMPTY).hd95 > score_case(corner, opposite).hd95


def test_a_truth_without_background_has_specificity_one_only_if_all_of_it_is_found() -> None:
    assert score_case(FULL, FULL).specificity == 1
    assert score_case(SPOT, FULL).specificity == 0
    assert score_case(EMPTY, FULL).specificity == 0
