import math
from dataclasses import asdict

import numpy as np
import pytest

from mlffm_segdiff.metrics.case_scores import COUNT_NAMES, SCORE_NAMES, score_case
from mlffm_segdiff.metrics.overlap import Counts

PREDICTED = np.array([[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]], bool)
TRUTH = np.array([[0, 0, 0, 0], [1, 1, 1, 0], [1, 1, 1, 0], [0, 0, 0, 0]], bool)


def test_four_by_four_by_hand() -> None:
    scores = score_case(PREDICTED, TRUTH)
    assert asdict(scores) == pytest.approx(
        {
            "accuracy": 14 / 16,
            "precision": 1.0,
            "recall": 4 / 6,
            "specificity": 1.0,
            "dice": 8 / 10,
            "jaccard": 4 / 6,
            "thresholded_jaccard": 4 / 6,
            "hd95": 1.0,  # back: 0, 0, 0, 0, 1, 1; its 95th percentile is 1
            "hd95_percent": 100 / math.hypot(4, 4),
            "assd": 2 / 10,
            "assd_percent": 20 / math.hypot(4, 4),
            "boundary_dice": 8 / 10,  # the tolerance is 0.06 pixels
            "tp": 4,
            "fp": 0,
            "fn": 2,
            "tn": 10,
        }
    )
    assert scores.counts == Counts(tp=4, fp=0, fn=2, tn=10)


def test_the_tolerance_reaches_the_boundary_dice() -> None:
    assert score_case(PREDICTED, TRUTH, tolerance=0.2).boundary_dice == 1  # 1.1 pixels


def test_every_field_is_a_score_or_a_count() -> None:
    assert (*SCORE_NAMES, *COUNT_NAMES) == tuple(asdict(score_case(PREDICTED, TRUTH)))
    assert all(isinstance(getattr(score_case(PREDICTED, TRUTH), name), float) for name in SCORE_NAMES)
    assert all(isinstance(getattr(score_case(PREDICTED, TRUTH), name), int) for name in COUNT_NAMES)


def test_masks_of_unlike_size_are_refused() -> None:
    with pytest.raises(ValueError, match=r"predicted \(4, 4\), truth \(3, 4\)"):
        score_case(PREDICTED, TRUTH[1:])
