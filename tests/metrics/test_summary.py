import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import bootstrap
from torchmetrics.functional import classification as reference

from mlffm_segdiff.metrics.case_scores import SCORE_NAMES, score_case
from mlffm_segdiff.metrics.summary import Interval, mean_interval, summarise


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
        values = [getattr(case, name) for case in scores]
        assert interval == mean_interval(values)
        assert interval.mean == pytest.approx(np.mean(values))


def test_the_interval_of_many_values_is_the_normal_one() -> None:
    values = np.random.default_rng(3).normal(0.8, 0.1, 400)
    interval = mean_interval(values.tolist())
    half = 1.96 * values.std() / math.sqrt(len(values))
    assert interval.low == pytest.approx(values.mean() - half, abs=0.05 * half)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.05 * half)


def test_the_interval_of_skewed_scores_is_near_the_corrected_one() -> None:
    values = np.random.default_rng(4).beta(8, 1, 150)
    corrected = bootstrap((values,), np.mean, method="BCa", rng=np.random.default_rng(1)).confidence_interval
    interval = mean_interval(values.tolist())
    width = corrected.high - corrected.low
    assert interval.low == pytest.approx(corrected.low, abs=0.1 * width)
    assert interval.high == pytest.approx(corrected.high, abs=0.1 * width)


def test_two_values_span_the_interval() -> None:
    assert mean_interval([0.0, 1.0]) == Interval(0.5, 0.0, 1.0)


def test_one_value_has_no_interval() -> None:
    assert mean_interval([0.7]) == Interval(0.7, None, None)


@given(st.floats(0, 1), st.integers(2, 40))
def test_equal_values_have_an_interval_of_no_width(value: float, count: int) -> None:
    interval = mean_interval([value] * count)
    assert [interval.mean, interval.low, interval.high] == pytest.approx([value] * 3)


def test_the_seed_alone_decides_the_resamples() -> None:
    values = np.random.default_rng(5).random(30).tolist()
    assert mean_interval(values, seed=1) == mean_interval(values, seed=1)
    assert mean_interval(values, seed=1) != mean_interval(values, seed=2)


def test_no_cases_have_no_summary() -> None:
    with pytest.raises(ValueError, match="no values"):
        summarise([])
