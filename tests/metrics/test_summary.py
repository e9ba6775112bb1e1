import numpy as np
import pytest
import torch
from torchmetrics.functional import classification as reference

from mlffm_segdiff.metrics.case_scores import SCORE_NAMES, score_case
from mlffm_segdiff.metrics.summary import summarise


def pairs(count: int, seed: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(seed)
    shapes = [(4 + index, 9) for index in range(count)]
    return [(rng.random(shape) < 0.6, rng.random(shape) < 0.4) for shape in shapes]


def test_pooled_scores_are_those_of_all_pixels_at_once() -> None:
    sample = pairs(7)
    pixels = [np.concatenate([pair[side].ravel() for pair in sample]) for side in (0, 1)]
    predicted, truth = (torch.from_numpy(side).int() for side in pixels)
    pooled = summarise([score_case(*pair) for pair in sample]).pooled
    assert dict(pooled) == pytest.approx(
        {
            "accuracy": float(reference.binary_accuracy(predicted, truth)),
            "precision": float(reference.binary_precision(predicted, truth)),
            "recall": float(reference.binary_recall(predicted, truth)),
            "specificity": float(reference.binary_specificity(predicted, truth)),
            "dice": float(reference.binary_f1_score(predicted, truth)),
            "jaccard": float(reference.binary_jaccard_index(predicted, truth)),
        },
        abs=1e-6,
    )


def test_each_image_counts_alike_in_the_mean_and_each_pixel_in_the_pool() -> None:
    small, large = np.zeros((10, 10), bool), np.zeros((10, 10), bool)
    small[0, 0], large[:, :] = True, True
    missed, half = np.zeros((10, 10), bool), large.copy()
    half[:5] = False
    summary = summarise([score_case(missed, small), score_case(half, large)])
    assert summary.cases == 2
    assert summary.per_image["jaccard"].mean == pytest.approx((0 + 0.5) / 2)
    assert summary.pooled["jaccard"] == pytest.approx(50 / 101)


def test_every_score_has_its_mean_within_its_interval() -> None:
    scores = [score_case(*pair) for pair in pairs(12)]
    summary = summarise(scores)
    assert tuple(summary.per_image) == SCORE_NAMES
    for name, interval in summary.per_image.items():
        assert interval.mean == pytest.approx(np.mean([getattr(case, name) for case in scores]))
        assert interval.low is not None
        assert interval.high is not None
        assert interval.low <= interval.mean <= interval.high
    jaccard = summary.per_image["jaccard"]
    assert jaccard.low < jaccard.mean < jaccard.high


def test_no_cases_have_no_summary() -> None:
    with pytest.raises(ValueError, match="no values"):
        summarise([])
