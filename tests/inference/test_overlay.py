import numpy as np
import numpy.typing as npt
from scipy.ndimage import binary_dilation

from mlffm_segdiff.inference.overlay import CASING, COLOUR, draw_outline


def disc(side: int) -> npt.NDArray[np.bool_]:
    y, x = np.mgrid[:side, :side] - side / 2
    found: npt.NDArray[np.bool_] = y**2 + x**2 < (side / 4) ** 2
    return found


def count(image: npt.NDArray[np.uint8], colour: tuple[int, int, int]) -> int:
    return int((image == colour).all(axis=2).sum())


def test_the_line_follows_the_masks_border_and_the_rest_stays() -> None:
    image = np.full((100, 100, 3), (200, 150, 120), np.uint8)
    mask = disc(100)
    found = draw_outline(image, mask)
    changed = (found != image).any(axis=2)
    border = binary_dilation(mask) & ~mask
    assert changed[border].all()
    assert not (changed & ~binary_dilation(border, iterations=3)).any()
    line = (found == COLOUR).all(axis=2)
    assert (line & ~binary_dilation(border, iterations=1)).sum() == 0
    assert count(found, COLOUR) + count(found, CASING) == changed.sum()


def test_the_picture_itself_is_left_as_it_was() -> None:
    image = np.full((40, 40, 3), 90, np.uint8)
    draw_outline(image, disc(40))
    assert (image == 90).all()


def test_the_line_grows_with_the_picture() -> None:
    thickness = {}
    for side in (200, 1000):
        found = draw_outline(np.full((side, side, 3), 90, np.uint8), disc(side))
        thickness[side] = count(found, COLOUR) / (2 * np.pi * side / 4)
    assert thickness[200] < 1.5
    assert 3 < thickness[1000] < 5


def test_an_empty_mask_draws_nothing() -> None:
    image = np.random.default_rng(0).integers(0, 256, (30, 20, 3), dtype=np.uint8)
    np.testing.assert_array_equal(draw_outline(image, np.zeros((30, 20), bool)), image)
