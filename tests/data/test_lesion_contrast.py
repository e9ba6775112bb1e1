import math

import numpy as np
import pytest
from skimage.color import deltaE_ciede2000, lab2rgb

from mlffm_segdiff.data.lesion_contrast import lesion_contrast

SKIN, MOLE = (70.0, 10.0, 20.0), (45.0, 12.0, 18.0)


def drawn(side: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """A square lesion of one colour in the middle of skin of another."""
    lesion = np.zeros((side, side), bool)
    lesion[14:26, 14:26] = True
    lab = np.where(lesion[..., None], MOLE, SKIN)
    return (lab2rgb(lab) * 255).round().astype(np.uint8), lesion


def test_the_contrast_is_the_colour_difference_of_lesion_and_skin() -> None:
    expected = float(deltaE_ciede2000(MOLE, SKIN))
    assert lesion_contrast(*drawn()) == pytest.approx(expected, abs=0.3)  # colours are rounded to 8 bits


def test_a_lesion_of_the_colour_of_skin_has_no_contrast() -> None:
    image, lesion = drawn()
    image[lesion] = image[0, 0]
    assert lesion_contrast(image, lesion) == pytest.approx(0, abs=1e-9)


def test_hair_dark_corners_and_what_is_far_away_do_not_count() -> None:
    image, lesion = drawn()
    plain = lesion_contrast(image, lesion)
    image[12, :] = (60, 45, 40)
    image[10:13, 10:13] = 0
    image[:3] = (0, 255, 0)
    assert lesion_contrast(image, lesion) == pytest.approx(plain, abs=1e-9)


def test_without_lesion_or_skin_there_is_no_contrast() -> None:
    image, lesion = drawn()
    assert math.isnan(lesion_contrast(image, np.zeros_like(lesion)))
    assert math.isnan(lesion_contrast(image, np.ones_like(lesion)))
    image[~lesion] = 0
    assert math.isnan(lesion_contrast(image, lesion))
