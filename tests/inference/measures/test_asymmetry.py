import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays
from skimage.measure import regionprops

from mlffm_segdiff.inference.measures.asymmetry import Asymmetry, long_axis, measure_asymmetry

Mask = npt.NDArray[np.bool_]


@pytest.mark.parametrize("angle", [0.0, 0.4, 0.9, 1.5, 2.8])
def test_an_ellipse_is_symmetric_in_any_orientation(ellipse: Callable[..., Mask], angle: float) -> None:
    mask = ellipse(150, 60, angle)
    found = measure_asymmetry(mask)
    assert found.asymmetry_major == pytest.approx(0, abs=0.01)
    assert found.asymmetry_minor == pytest.approx(0, abs=0.01)
    places = np.argwhere(mask).astype(float)
    turned = long_axis(places - places.mean(axis=0)) - angle
    assert math.cos(2 * turned) == pytest.approx(1, abs=1e-4)


def test_discs_squares_and_rectangles_are_exactly_symmetric(
    ellipse: Callable[..., Mask], rectangle: Mask
) -> None:
    for mask in (ellipse(70, 70), np.ones((9, 9), bool), np.ones((1, 1), bool), rectangle, rectangle.T):
        assert measure_asymmetry(mask) == Asymmetry(0.0, 0.0)


def test_a_hand_worked_shape() -> None:
    # A bar of 1 x 11 with a pixel on its fifth place. 12 pixels: centroid x = (55 + 4) / 12, y = 1 - 1/12.
    # The long axis turns by 0.5 atan2(2 xy, xx - yy) = 0.0080 rad, far less than half a pixel at the ends.
    # Over it the bar falls on itself and the one pixel below the bar: 1 of 12 is unmatched.
    mask = np.zeros((3, 11), bool)
    mask[1] = True
    mask[0, 4] = True
    found = measure_asymmetry(mask)
    assert found.asymmetry_major == pytest.approx(1 / 12)
    # Over the short axis, x = 4.9167 goes to 9.8333 - x: places 0 to 10 fall on 10 to 0 (rounded), and the
    # pixel above falls on x = 5.83, row 0, where there is none: again 1 of 12.
    assert found.asymmetry_minor == pytest.approx(1 / 12)


def test_half_a_disc_is_symmetric_about_one_axis_only(ellipse: Callable[..., Mask]) -> None:
    mask = ellipse(120, 120)
    mask[:200] = False
    # Over the long axis, 4r / 3 pi from the straight side: the area that finds no partner, as an integral.
    centre = 4 / (3 * math.pi)
    heights = np.linspace(0, 1, 200_001)
    widths = np.sqrt(1 - heights**2)
    mirrored = np.where(2 * centre - heights >= 0, np.sqrt(np.clip(1 - (2 * centre - heights) ** 2, 0, 1)), 0)
    lost = np.clip(widths - mirrored, 0, None).mean() / widths.mean()
    found = measure_asymmetry(mask)
    assert found.asymmetry_minor == pytest.approx(0, abs=0.01)
    assert found.asymmetry_major == pytest.approx(lost, abs=0.01)


@given(arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=9)))
def test_any_lesion_has_an_asymmetry_between_none_and_all(mask: Mask) -> None:
    found = measure_asymmetry(mask)
    if found.asymmetry_major is None:
        assert not mask.any()
        return
    assert 0 <= found.asymmetry_major <= 1
    assert found.asymmetry_minor is not None
    assert 0 <= found.asymmetry_minor <= 1


@given(arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=9)))
def test_the_long_axis_is_scikit_images(mask: Mask) -> None:
    places = np.argwhere(mask).astype(float)
    for region in regionprops(mask.astype(int)):
        large, small = region.inertia_tensor_eigvals
        if large - small > 1e-3:
            axis = long_axis(places - places.mean(axis=0))
            assert math.cos(2 * (axis - (math.pi / 2 - region.orientation))) == pytest.approx(1)


def test_nothing_has_no_asymmetry() -> None:
    assert measure_asymmetry(np.zeros((4, 4), bool)) == Asymmetry(None, None)
