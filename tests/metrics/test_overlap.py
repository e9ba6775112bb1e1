import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torchmetrics.functional import classification as reference

from mlffm_segdiff.metrics import overlap
from mlffm_segdiff.metrics.overlap import POOLED_SCORES, Counts, Mask, count_pixels, total

PAIRS = st.tuples(st.integers(1, 9), st.integers(1, 9)).flatmap(
    lambda shape: st.tuples(arrays(bool, shape), arrays(bool, shape))
)
PREDICTED = np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]], bool)
TRUTH = np.array([[0, 1, 1, 0], [1, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]], bool)


def test_four_by_four_by_hand() -> None:
    counts = count_pixels(PREDICTED, TRUTH)
    assert counts == Counts(tp=3, fp=2, fn=2, tn=9)
    assert (counts.lesion, counts.pixels, counts.equal) == (5, 16, False)
    assert {name: score(counts) for name, score in POOLED_SCORES.items()} == pytest.approx(
        {
            "accuracy": 12 / 16,
            "precision": 3 / 5,
            "recall": 3 / 5,
            "specificity": 9 / 11,
            "dice": 6 / 10,
            "jaccard": 3 / 7,
        }
    )


@given(PAIRS)
def test_scores_equal_those_of_torchmetrics(pair: tuple[Mask, Mask]) -> None:
    predicted, truth = (torch.from_numpy(mask).int() for mask in pair)
    counts = count_pixels(*pair)
    expected = {
        "accuracy": reference.binary_accuracy(predicted, truth),
        "precision": reference.binary_precision(predicted, truth),
        "recall": reference.binary_recall(predicted, truth),
        "specificity": reference.binary_specificity(predicted, truth),
        "dice": reference.binary_f1_score(predicted, truth),
        "jaccard": reference.binary_jaccard_index(predicted, truth),
    }
    zero_by_zero = {
        "precision": not pair[0].any(),
        "recall": not pair[1].any(),
        "specificity": pair[1].all(),
        "dice": not (pair[0] | pair[1]).any(),
        "jaccard": not (pair[0] | pair[1]).any(),
    }
    for name, score in POOLED_SCORES.items():
        if not zero_by_zero.get(name):
            assert score(counts) == pytest.approx(float(expected[name]), abs=1e-6), name


@given(PAIRS)
def test_scores_are_bounded_and_symmetric(pair: tuple[Mask, Mask]) -> None:
    counts, swapped = count_pixels(*pair), count_pixels(*reversed(pair))
    assert all(0 <= score(counts) <= 1 for score in POOLED_SCORES.values())
    assert overlap.dice(counts) == overlap.dice(swapped)
    assert overlap.jaccard(counts) == overlap.jaccard(swapped)
    assert overlap.precision(counts) == overlap.recall(swapped)
    assert counts.pixels == pair[0].size


@given(arrays(bool, (5, 7)))
def test_a_mask_scores_one_against_itself_and_less_against_any_other(mask: Mask) -> None:
    same = count_pixels(mask, mask)
    assert all(score(same) == 1 for score in POOLED_SCORES.values())
    other = mask.copy()
    other[2, 3] ^= True
    assert all(POOLED_SCORES[name](count_pixels(other, mask)) < 1 for name in ("accuracy", "dice", "jaccard"))


@given(st.integers(0, 1000), st.integers(0, 1000), st.integers(0, 1000))
def test_jaccard_follows_from_dice(tp: int, fp: int, fn: int) -> None:
    counts = Counts(tp=tp, fp=fp, fn=fn, tn=5)
    dice = overlap.dice(counts)
    assert overlap.jaccard(counts) == pytest.approx(dice / (2 - dice))


@given(PAIRS, PAIRS)
def test_the_total_counts_the_pixels_of_all_cases(one: tuple[Mask, Mask], other: tuple[Mask, Mask]) -> None:
    joined = [np.concatenate([a.ravel(), b.ravel()])[None] for a, b in zip(one, other, strict=True)]
    assert total([count_pixels(*one), count_pixels(*other)]) == count_pixels(*joined)


@pytest.mark.parametrize(("tp", "expected"), [(65, 0.65), (64, 0.0), (100, 1.0), (0, 0.0)])
def test_thresholded_jaccard_keeps_065_and_drops_less(tp: int, expected: float) -> None:
    assert overlap.thresholded_jaccard(Counts(tp=tp, fp=0, fn=100 - tp, tn=0)) == expected


def test_masks_that_lie_apart_in_memory_are_counted_as_they_look() -> None:
    assert count_pixels(PREDICTED.T, TRUTH.T) == count_pixels(PREDICTED, TRUTH)
    assert count_pixels(PREDICTED[::-1, ::2], TRUTH[::-1, ::2]) == Counts(tp=1, fp=1, fn=2, tn=4)


@pytest.mark.parametrize(
    ("predicted", "error"),
    [
        (TRUTH.astype(np.uint8) * 255, TypeError),
        (np.where(TRUTH, 1.0, -1.0), TypeError),
        (TRUTH.tolist(), TypeError),
        (None, TypeError),
        (TRUTH[:2], ValueError),
        (TRUTH[None], ValueError),
        (TRUTH[:0], ValueError),
    ],
)
def test_anything_but_two_bool_masks_of_one_size_is_refused(
    predicted: np.ndarray, error: type[Exception]
) -> None:
    with pytest.raises(error, match="mask"):
        count_pixels(predicted, TRUTH)
