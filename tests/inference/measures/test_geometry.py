import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.special import ellipe
from skimage.measure import label, perimeter_crofton, regionprops

from mlffm_segdiff.inference.measures.geometry import (
    Geometry,
    crofton_perimeter,
    measure_geometry,
)

Mask = npt.NDArray[np.bool_]
MASKS = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=12))


def test_a_rectangle_is_measured_as_drawn(rectangle: Mask) -> None:
    found = measure_geometry(rectangle)
    assert (found.area, found.area_share, found.components) == (1200, 0.1, 1)
    assert (found.centroid_x, found.centroid_y) == (59.5, 19.5)
    assert (found.box_left, found.box_top, found.box_width, found.box_height) == (30, 10, 60, 20)
    assert found.equivalent_diameter == pytest.approx(math.sqrt(4800 / math.pi))
    assert found.perimeter == pytest.approx(160, rel=0.06)


@pytest.mark.parametrize("angle", [0.0, 0.3, 0.8, 1.4])
def test_an_ellipse_has_the_area_and_the_perimeter_of_its_formulas(
    ellipse: Callable[..., Mask], angle: float
) -> None:
    found = measure_geometry(ellipse(150, 90, angle))
    assert found.area == pytest.approx(math.pi * 150 * 90, rel=2e-3)
    assert found.perimeter == pytest.approx(4 * 150 * ellipe(1 - (90 / 150) ** 2), rel=0.02)
    assert (found.centroid_x, found.centroid_y) == pytest.approx((250, 200))


def test_a_discs_diameter_is_the_equivalent_one(ellipse: Callable[..., Mask]) -> None:
    found = measure_geometry(ellipse(100, 100))
    assert found.equivalent_diameter == pytest.approx(200, rel=2e-3)
    assert found.perimeter == pytest.approx(200 * math.pi, rel=5e-3)


@given(MASKS)
def test_scikit_image_finds_the_same(mask: Mask) -> None:
    found = measure_geometry(mask)
    assert found.components == label(mask, connectivity=2).max()
    assert found.perimeter == pytest.approx(perimeter_crofton(mask, directions=4))
    for region in regionprops(mask.astype(int)):
        top, left, bottom, right = region.bbox
        assert found.area == region.area
        assert found.equivalent_diameter == pytest.approx(region.equivalent_diameter_area)
        assert (found.centroid_y, found.centroid_x) == pytest.approx(region.centroid)
        assert (found.box_left, found.box_top) == (left, top)
        assert (found.box_width, found.box_height) == (right - left, bottom - top)


def test_several_components_count_together() -> None:
    mask = np.zeros((20, 40), bool)
    mask[2:6, 2:6] = mask[10:14, 30:34] = True
    single = np.zeros((20, 40), bool)
    single[2:6, 2:6] = True
    found, one = measure_geometry(mask), measure_geometry(single)
    assert (found.components, found.area) == (2, 32)
    assert found.perimeter == pytest.approx(2 * one.perimeter)
    assert (found.centroid_x, found.centroid_y) == (17.5, 7.5)


def test_more_components_than_a_byte_counts_are_counted() -> None:
    mask = np.zeros((64, 64), bool)
    mask[::2, ::2] = True
    assert measure_geometry(mask).components == 1024


def test_an_empty_mask_has_zero_area_and_no_position() -> None:
    assert measure_geometry(np.zeros((3, 5), bool)) == Geometry(0, 0.0, 0, 0.0, 0.0)


@given(st.integers(0, 3), st.integers(0, 5))
def test_one_pixel_is_measured(row: int, column: int) -> None:
    mask = np.zeros((4, 6), bool)
    mask[row, column] = True
    found = measure_geometry(mask)
    assert (found.area, found.components, found.centroid_x, found.centroid_y) == (1, 1, column, row)
    assert (found.box_left, found.box_top, found.box_width, found.box_height) == (column, row, 1, 1)
    assert found.perimeter == pytest.approx(math.pi / 4 * (2 + math.sqrt(2)))


def test_a_border_along_the_frame_counts() -> None:
    assert crofton_perimeter(np.ones((50, 50), bool)) == pytest.approx(200, rel=0.06)
