"""The signed distance against brute force and closed forms."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from mlffm_segdiff.data.distance import signed_distance


def brute_force(mask: np.ndarray) -> np.ndarray:
    centres = np.argwhere(np.ones_like(mask))
    apart = np.linalg.norm(centres[:, None] - centres[None], axis=-1)
    other = mask.ravel()[:, None] != mask.ravel()[None]
    nearest = np.where(other, apart, np.inf).min(axis=1) - 0.5
    return np.where(mask.ravel(), -nearest, nearest).reshape(mask.shape)


@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9)))
def test_equals_brute_force(mask: np.ndarray) -> None:
    if mask.any() and not mask.all():
        np.testing.assert_allclose(signed_distance(mask), brute_force(mask), rtol=1e-6)


@given(st.integers(1, 15))
def test_half_plane_has_the_contour_between_its_columns(edge: int) -> None:
    columns = np.arange(16)
    mask = np.broadcast_to(columns < edge, (5, 16))
    expected = np.broadcast_to(columns + 0.5 - edge, (5, 16))
    np.testing.assert_array_equal(signed_distance(mask), expected)


def test_one_pixel() -> None:
    mask = np.zeros((5, 7), bool)
    mask[2, 3] = True
    distance = signed_distance(mask)
    assert distance.dtype == np.float32
    assert distance[2, 3] == -0.5
    assert distance[2, 4] == 0.5
    assert distance[0, 0] == pytest.approx(math.sqrt(13) - 0.5)


@pytest.mark.parametrize(("lesion", "sign"), [(False, 1), (True, -1)])
def test_without_a_contour_it_is_the_diagonal(lesion: bool, sign: int) -> None:
    distance = signed_distance(np.full((3, 4), lesion))
    np.testing.assert_array_equal(distance, np.full((3, 4), 5.0 * sign, np.float32))


def test_the_mask_is_left_as_it_was() -> None:
    mask = np.random.RandomState(0).rand(20, 20) > 0.7
    before = mask.copy()
    signed_distance(mask)
    np.testing.assert_array_equal(mask, before)
