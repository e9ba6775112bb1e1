import numpy as np
from skimage.draw import polygon

from mlffm_segdiff.data.contour import mask_contours


def test_a_contour_runs_half_a_pixel_around_the_mask() -> None:
    mask = np.zeros((20, 30), bool)
    mask[5:15, 8:20] = True
    (contour,) = mask_contours(mask)
    assert [*contour.min(axis=0), *contour.max(axis=0)] == [4.5, 7.5, 14.5, 19.5]
    assert (contour[0] == contour[-1]).all()


def test_each_part_and_each_hole_has_its_own_closed_contour() -> None:
    mask = np.ones((20, 30), bool)
    mask[8:12, 10:20] = False
    mask[9:11, 13:15] = True
    contours = mask_contours(mask)
    assert len(contours) == 3
    assert all((contour[0] == contour[-1]).all() for contour in contours)


def test_filling_the_contour_gives_the_mask_back() -> None:
    y, x = np.mgrid[:60, :80]
    mask = ((y - 25) / 40) ** 2 + ((x - 41) / 23) ** 2 < 1  # cut by the upper frame
    (contour,) = mask_contours(mask)
    filled = np.zeros_like(mask)
    filled[polygon(contour[:, 0], contour[:, 1], mask.shape)] = True
    np.testing.assert_array_equal(filled, mask)


def test_an_empty_mask_has_no_contour() -> None:
    assert mask_contours(np.zeros((4, 6), bool)) == []
