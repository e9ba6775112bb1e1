import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image, ImageDraw
from skimage.measure import regionprops

from mlffm_segdiff.inference.masks import lesion_box
from mlffm_segdiff.inference.measures.border import Border, box_dimension, hull_area, measure_border
from mlffm_segdiff.inference.measures.geometry import measure_geometry

Mask = npt.NDArray[np.bool_]


def border_of(mask: Mask) -> Border:
    return measure_border(mask[lesion_box(mask)], measure_geometry(mask))


def koch_snowflake(side: int, rounds: int) -> Mask:
    """The snowflake that Koch's rule makes of a triangle in `rounds` rounds, filled, `side` pixels wide."""
    points = np.exp(1j * math.pi * np.array([1 / 2, -1 / 6, -5 / 6]))
    for _ in range(rounds):
        step = (np.roll(points, -1) - points) / 3
        tip = points + step + step * np.exp(1j * math.pi / 3)
        points = np.stack([points, points + step, tip, points + 2 * step], 1).ravel()
    points = (points + 1 + 1j) * (side / 2)
    image = Image.new("1", (side + 1, side + 1))
    ImageDraw.Draw(image).polygon(np.stack([points.real, points.imag], 1).ravel().tolist(), fill=1)
    mask = np.array(image)
    return mask[lesion_box(mask)]


def test_a_disc_is_compact_solid_and_smooth(ellipse: Callable[..., Mask]) -> None:
    found = border_of(ellipse(150, 150))
    assert found.compactness == pytest.approx(1, abs=0.01)
    assert found.solidity == pytest.approx(1, abs=0.01)
    assert found.fractal_index == pytest.approx(1, abs=0.05)


def test_an_ellipse_is_less_compact_by_its_formula(ellipse: Callable[..., Mask]) -> None:
    a, b = 180, 60
    ramanujan = math.pi * (3 * (a + b) - math.sqrt((3 * a + b) * (a + 3 * b)))
    expected = ramanujan**2 / (4 * math.pi * math.pi * a * b)
    assert border_of(ellipse(a, b, 0.4)).compactness == pytest.approx(expected, rel=0.03)


def test_solidity_of_a_rectangle_and_of_a_corner(rectangle: Mask) -> None:
    assert border_of(rectangle).solidity == 1.0
    corner = np.ones((20, 20), bool)
    corner[:10, 10:] = False  # three quarters of a square; the hull cuts the rest in half
    assert border_of(corner).solidity == pytest.approx(300 / 350)


def test_the_fractal_index_is_one_of_a_smooth_border_and_kochs_dimension_of_his_curve() -> None:
    y, x = np.mgrid[:700, :700]
    smooth = [np.ones((700, 700), bool), koch_snowflake(700, 0), np.hypot(y - 349.5, x - 349.5) <= 350]
    assert [box_dimension(mask) for mask in smooth] == pytest.approx([1, 1, 1], abs=0.04)
    assert box_dimension(koch_snowflake(700, 5)) == pytest.approx(math.log(4) / math.log(3), abs=0.04)


def test_the_boxes_of_a_square_are_counted_by_hand() -> None:
    # The border of 64 x 64 pixels, one pixel from the first box's edge, is in 33, 17, 9 and 5 boxes of 2,
    # 4, 8 and 16 pixels a side: 4 * 32, 4 * 16, 4 * 8 and 4 * 4 boxes, a straight line of slope -1.
    assert box_dimension(np.ones((64, 64), bool)) == pytest.approx(1)
    # Three pixels wider it is in 34 x 33, 17 x 17, 9 x 9 and 5 x 5, of which 2 (m + n - 2) hold border.
    slope = np.polyfit(np.log([2, 4, 8, 16]), np.log([130, 64, 32, 16]), 1)[0]
    assert box_dimension(np.ones((64, 67), bool)) == pytest.approx(-slope)


def test_a_lesion_too_small_for_three_sizes_of_boxes_has_no_index() -> None:
    assert box_dimension(np.ones((31, 31), bool)) is None
    assert box_dimension(np.ones((31, 32), bool)) is not None


@given(arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=12)))
def test_hulls_hold_what_scikit_image_finds(mask: Mask) -> None:
    for region in regionprops(mask.astype(int)):
        found = hull_area(mask[lesion_box(mask)])
        assert region.area <= found + 1e-9
        # scikit-image counts pixels with their centre in a hull of the edges' midpoints, we whole squares
        assert found == pytest.approx(region.area_convex, abs=1 + sum(mask.shape))


def test_nothing_has_no_border_and_one_pixel_has_one() -> None:
    assert border_of(np.zeros((4, 4), bool)) == Border()
    one = border_of(np.pad(np.ones((1, 1), bool), 2))
    assert (one.solidity, one.fractal_index) == (1.0, None)
    assert one.compactness == pytest.approx((math.pi / 4 * (2 + math.sqrt(2))) ** 2 / (4 * math.pi))
