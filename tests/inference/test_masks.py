import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from mlffm_segdiff.inference.masks import SUBSAMPLED_SIDE, lesion_box, nearest_mask, subsample


def test_a_large_mask_keeps_its_shape_when_subsampled() -> None:
    y, x = np.ogrid[:3000, :3000]
    disc = np.hypot(y - 1500, x - 1500) < 1400
    thin = subsample(disc)
    assert max(thin.shape) <= SUBSAMPLED_SIDE
    assert thin.mean() == pytest.approx(disc.mean(), rel=2e-3)
    small = np.ones((5, 7), bool)
    np.testing.assert_array_equal(subsample(small), small)


@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 30), st.integers(1, 30))
def test_masks_at_another_size_take_the_pixel_under_each_centre(
    h: int, w: int, height: int, width: int
) -> None:
    mask = np.random.default_rng(h * 31 + w).random((h, w)) < 0.5
    found = nearest_mask(mask, height, width)
    for row, column in np.ndindex(height, width):
        expected = mask[int((row + 0.5) * h / height), int((column + 0.5) * w / width)]
        assert found[row, column] == expected


@given(arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=12)))
def test_the_box_of_a_lesion_is_the_smallest_that_holds_it(mask: npt.NDArray[np.bool_]) -> None:
    places = np.argwhere(mask)
    box = lesion_box(mask)
    if not len(places):
        assert mask[box].size == 0
    else:
        corners = zip(places.min(axis=0), places.max(axis=0) + 1, strict=True)
        assert box == tuple(slice(first, last) for first, last in corners)
