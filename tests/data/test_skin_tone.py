import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.color import lab2rgb

from mlffm_segdiff.data.skin_tone import TONES, tone_name, typology_angle


def skin(lightness: float, yellow: float, side: int = 16) -> np.ndarray:
    """An image of one colour; 10 of red, so that it is skin-like and in sRGB's gamut."""
    colour = lab2rgb(np.full((side, side, 3), (lightness, 10.0, yellow)))
    return (colour * 255).round().astype(np.uint8)


NONE = np.zeros((16, 16), bool)


@pytest.mark.parametrize(
    ("lightness", "yellow", "angle", "tone"),
    [
        (70, 20, 45.0, "light"),  # arctan(20 / 20)
        (50, 20, 0.0, "brown"),
        (40, 10, -45.0, "dark"),
        (75, 14.43, 60.0, "very light"),  # arctan(25 / 14.43) = 60
    ],
)
def test_the_angle_is_that_of_the_definition(
    lightness: float, yellow: float, angle: float, tone: str
) -> None:
    found = typology_angle(skin(lightness, yellow), NONE)
    assert found == pytest.approx(angle, abs=1.5)  # colours are rounded to 8 bits
    assert tone_name(found) == tone


def test_the_lesion_the_dark_corners_and_single_hairs_do_not_count() -> None:
    image, lesion = skin(70, 20), NONE.copy()
    plain = typology_angle(image, NONE)
    image[4:8, 4:8], lesion[4:8, 4:8] = (90, 40, 30), True
    image[:3, :3] = 0
    image[12, :4] = (60, 45, 40)
    assert typology_angle(image, lesion) == pytest.approx(plain, abs=1e-3)


def test_without_skin_there_is_no_angle() -> None:
    assert math.isnan(typology_angle(skin(70, 20), ~NONE))
    assert math.isnan(typology_angle(np.zeros((16, 16, 3), np.uint8), NONE))
    strip = ~NONE
    strip[0] = False
    assert math.isnan(typology_angle(skin(70, 20), strip))
    strip[1] = False
    assert typology_angle(skin(70, 20), strip) == pytest.approx(45, abs=1.5)


def test_tones_begin_where_chardon_and_del_bino_put_them() -> None:
    angles = (56, 55, 42, 41, 29, 28, 11, 10, -29, -30, -80)
    places = [TONES.index(tone_name(angle)) for angle in angles]
    assert places == [0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]


@given(st.integers(0, 2**32 - 1))
def test_the_position_of_pixels_does_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    image, lesion = rng.integers(60, 256, (8, 8, 3), dtype=np.uint8), rng.random((8, 8)) < 0.3
    order = rng.permutation(64)
    shuffled = image.reshape(64, 3)[order].reshape(8, 8, 3), lesion.ravel()[order].reshape(8, 8)
    assert typology_angle(*shuffled) == pytest.approx(typology_angle(image, lesion), abs=1e-6, nan_ok=True)
