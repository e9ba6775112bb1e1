import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.optimize import isotonic_regression

from mlffm_segdiff.metrics.certainty import (
    Calibration,
    fit_calibration,
    sample_agreement,
    soft_dice_confidence,
)
from mlffm_segdiff.metrics.overlap import count_pixels, dice

Map = npt.NDArray[np.float32]
PROBABILITIES = arrays(
    np.float32, array_shapes(min_dims=2, max_dims=2, max_side=8), elements=st.floats(0, 1, width=32)
)
PAIRS = st.lists(st.tuples(st.floats(0.01, 1), st.floats(0, 1)), min_size=1, max_size=30)


def test_the_confidence_of_a_hand_worked_map() -> None:
    probability = np.float32([[0.9, 0.6], [0.4, 0.1]])
    # over the mask 1.5, over all 2.0: 2 * 1.5 / (2.0 + 2)
    assert soft_dice_confidence(probability, probability >= 0.5) == pytest.approx(0.75)


@given(PROBABILITIES)
def test_a_certain_map_has_confidence_one_and_an_empty_mask_none(probability: Map) -> None:
    mask = probability >= 0.5
    assert soft_dice_confidence(mask.astype(np.float32), mask) == (1.0 if mask.any() else 0.0)
    assert 0 <= soft_dice_confidence(probability, mask) <= 1
    assert soft_dice_confidence(probability, np.zeros_like(mask)) == 0.0


def test_the_confidence_is_near_the_mean_dice_of_masks_drawn_by_the_map() -> None:
    rng = np.random.default_rng(0)
    probability = rng.random((40, 40)).astype(np.float32)
    mask = probability >= 0.5
    drawn = [dice(count_pixels(mask, rng.random((40, 40)) < probability)) for _ in range(300)]
    assert soft_dice_confidence(probability, mask) == pytest.approx(np.mean(drawn), abs=0.005)


def test_the_agreement_of_three_masks_by_hand() -> None:
    samples = np.zeros((3, 1, 4), np.float32)
    samples[0, 0, :2] = samples[1, 0, :2] = 1
    samples[2, 0, 1:] = 0.5
    # the first two agree; each shares one pixel with the third: 2 * 1 / (2 + 3)
    assert sample_agreement(samples) == pytest.approx((1 + 0.4 + 0.4) / 3)


def test_one_sample_has_no_agreement_and_empty_ones_agree() -> None:
    assert sample_agreement(np.ones((1, 3, 3), np.float32)) is None
    assert sample_agreement(np.zeros((4, 3, 3), np.float32)) == 1.0


@given(PAIRS)
def test_a_calibration_is_the_isotonic_regression_at_every_case(pairs: list[tuple[float, float]]) -> None:
    certainty, dices = (np.array(values) for values in zip(*pairs, strict=True))
    found = fit_calibration(certainty.tolist(), dices.tolist())
    assert list(found.certainty) == sorted(set(found.certainty))
    assert list(found.dice) == sorted(found.dice)
    places, of_place, counts = np.unique(certainty, return_inverse=True, return_counts=True)
    means = np.bincount(of_place, weights=dices) / counts
    expected = isotonic_regression(means, weights=counts).x
    for place, value in zip(places, expected, strict=True):
        assert found.expected_dice(place) == pytest.approx(value, abs=1e-9)


def test_a_hand_worked_calibration() -> None:
    # 0.8 and 0.6 are in the wrong order: both become 0.7
    found = fit_calibration([0.1, 0.2, 0.3, 0.9], [0.5, 0.8, 0.6, 0.9])
    assert found == Calibration((0.1, 0.2, 0.3, 0.9), (0.5, pytest.approx(0.7), pytest.approx(0.7), 0.9))
    expected = [found.expected_dice(certainty) for certainty in (0.05, 0.15, 0.25, 0.6, 1.0)]
    assert expected == pytest.approx([0.5, 0.6, 0.7, 0.8, 0.9])
    assert found.expected_dice(0.0) == 0.0  # nothing found


def test_only_corners_are_kept() -> None:
    found = fit_calibration(np.linspace(0, 1, 100).tolist(), [0.5] * 50 + [0.75] * 50)
    assert len(found.certainty) == 4
