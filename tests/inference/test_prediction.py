import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.inference.model import Answer, Picture
from mlffm_segdiff.inference.prediction import (
    check_threshold,
    lesion_box,
    predict_source,
)


def test_maps_come_at_the_pictures_size_and_the_threshold_belongs_to_the_lesion() -> None:
    # Two columns 0 and 1 stretched to eight: bilinear between pixel centres at 2 and 6 (from the left edge).
    probability = np.float32([[0, 1], [0, 1]])
    picture = Picture(np.zeros((2, 2, 3), np.uint8), height=3, width=8)
    found = predict_source(Answer(picture, probability, probability / 2), threshold=0.375)
    row = np.float32([0, 0, 0.125, 0.375, 0.625, 0.875, 1, 1])
    np.testing.assert_allclose(found.probability, np.tile(row, (3, 1)), atol=1e-6)
    np.testing.assert_allclose(found.spread, np.tile(row / 2, (3, 1)), atol=1e-6)
    np.testing.assert_array_equal(found.mask, np.tile(row >= 0.375, (3, 1)))
    assert found.mask.sum() == 15


def test_one_sample_spreads_by_nothing_at_the_pictures_size() -> None:
    picture = Picture(np.zeros((2, 2, 3), np.uint8), height=3, width=8)
    found = predict_source(Answer(picture, np.ones((2, 2), np.float32), np.zeros((2, 2), np.float32)), 0.5)
    assert found.spread.dtype == np.float32
    np.testing.assert_array_equal(found.spread, np.zeros((3, 8)))


@given(arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=12)))
def test_the_box_of_a_lesion_is_the_smallest_that_holds_it(mask: npt.NDArray[np.bool_]) -> None:
    places = np.argwhere(mask)
    box = lesion_box(mask)
    if not len(places):
        assert mask[box].size == 0
    else:
        corners = zip(places.min(axis=0), places.max(axis=0) + 1, strict=True)
        assert box == tuple(slice(first, last) for first, last in corners)


@given(st.floats(0, 1, exclude_min=True))
def test_a_threshold_is_a_probability_above_zero(threshold: float) -> None:
    assert check_threshold(threshold) == threshold


@pytest.mark.parametrize("threshold", [0.0, -0.1, 1.01, float("nan")])
def test_other_thresholds_are_refused(threshold: float) -> None:
    with pytest.raises(UserError, match="threshold"):
        check_threshold(threshold)
