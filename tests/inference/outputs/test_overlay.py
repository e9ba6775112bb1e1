from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image, ImageDraw
from scipy.ndimage import binary_dilation
from skimage.measure import find_contours

from mlffm_segdiff.inference.analysis import Processing
from mlffm_segdiff.inference.estimates import ContourBand
from mlffm_segdiff.inference.model import Model
from mlffm_segdiff.inference.outputs import overlay
from mlffm_segdiff.inference.outputs.overlay import (
    BAND_COLOUR,
    BAND_OPACITY,
    CASING,
    COLOUR,
    draw_band,
    draw_outline,
)
from mlffm_segdiff.inference.outputs.writers import Output
from mlffm_segdiff.inference.predict import predict_files

Colours = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


def disc(side: int) -> Mask:
    y, x = np.mgrid[:side, :side] - side / 2
    found: Mask = y**2 + x**2 < (side / 4) ** 2
    return found


def outlined(image: Colours, mask: Mask) -> Colours:
    drawn = Image.fromarray(image)
    draw_outline(drawn, mask)
    return np.asarray(drawn)


def count(image: Colours, colour: tuple[int, int, int]) -> int:
    return int((image == colour).all(axis=2).sum())


def test_the_line_follows_the_masks_border_and_the_rest_stays() -> None:
    image = np.full((100, 100, 3), (200, 150, 120), np.uint8)
    mask = disc(100)
    found = outlined(image, mask)
    changed = (found != image).any(axis=2)
    border = binary_dilation(mask) & ~mask
    assert changed[border].all()
    assert not (changed & ~binary_dilation(border, iterations=3)).any()
    line = (found == COLOUR).all(axis=2)
    assert (line & ~binary_dilation(border, iterations=1)).sum() == 0
    assert count(found, COLOUR) + count(found, CASING) == changed.sum()


@given(arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=12)))
def test_any_mask_is_outlined_where_its_contours_run_at_the_frame_too(mask: Mask) -> None:
    expected = Image.new("RGB", mask.shape[::-1], "gray")
    draw = ImageDraw.Draw(expected)
    contours = [contour[:, ::-1] - 1 for contour in find_contours(np.pad(mask, 1).astype(float), 0.5)]
    for colour, thickness in ((CASING, 3), (COLOUR, 1)):
        for contour in contours:
            draw.line(contour.ravel().tolist(), fill=colour, width=thickness)
    gray = np.asarray(Image.new("RGB", expected.size, "gray"))
    np.testing.assert_array_equal(outlined(gray, mask), np.asarray(expected))


def test_the_line_grows_with_the_image() -> None:
    thickness = {}
    for side in (200, 1000):
        found = outlined(np.full((side, side, 3), 90, np.uint8), disc(side))
        thickness[side] = count(found, COLOUR) / (2 * np.pi * side / 4)
    assert thickness[200] < 1.5
    assert 3 < thickness[1000] < 5


def test_a_very_large_lesion_is_outlined_by_fewer_pixels_in_the_same_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    image, mask = np.full((1000, 1000, 3), 90, np.uint8), disc(1000)
    whole = outlined(image, mask)
    monkeypatch.setattr(overlay, "FINE", 100)  # every fifth pixel of a disc 500 wide
    coarse = outlined(image, mask)
    assert (coarse != whole).any()
    line = (coarse == COLOUR).all(axis=2)
    assert not (line & ~binary_dilation((whole == COLOUR).all(axis=2), iterations=5)).any()
    assert count(coarse, COLOUR) == pytest.approx(count(whole, COLOUR), rel=0.1)


def test_an_empty_mask_draws_nothing() -> None:
    image = np.random.default_rng(0).integers(0, 256, (30, 20, 3), dtype=np.uint8)
    np.testing.assert_array_equal(outlined(image, np.zeros((30, 20), bool)), image)


def test_the_band_is_tinted_and_nothing_else() -> None:
    image = Image.new("RGB", (60, 40), (200, 150, 120))
    rows, columns = np.indices((40, 60))
    distance = np.hypot(rows - 20, columns - 30)
    band = ContourBand(distance < 6, distance < 12, 0.9).between
    draw_band(image, band)
    found = np.asarray(image).astype(int)
    share = BAND_OPACITY / 255
    tint = share * np.array(BAND_COLOUR) + (1 - share) * np.array([200, 150, 120])
    np.testing.assert_allclose(found[band], np.tile(tint, (band.sum(), 1)), atol=1)
    assert (found[~band] == (200, 150, 120)).all()


def test_a_run_draws_the_band_of_the_level_and_none_without_a_calibration(
    tmp_path: Path,
    photo: Callable[..., Colours],
    save: Callable[..., Path],
    red_model: Callable[..., Model],
    calibrated: Callable[..., Model],
) -> None:
    image = save(tmp_path / "a.png", photo(0, 400, 560))
    tinted = {}
    for level in (None, 0.8, 0.95):
        model = red_model() if level is None else calibrated(red_model())
        (row,) = predict_files(
            [image], model, Output(tmp_path / "out", ("overlay", "band")), Processing(level=level)
        )
        assert row.status == "done"
        plain, found = (
            np.asarray(Image.open(tmp_path / "out" / folder / "a.jpg")).astype(int)
            for folder in ("overlays", "bands")
        )
        tinted[level] = int((np.abs(found - plain).sum(axis=2) > 40).sum())
    assert tinted[None] == 0
    assert 0 < 2 * tinted[0.8] < tinted[0.95]


def test_the_overlay_of_an_image_too_long_for_jpeg_is_smaller(
    tmp_path: Path, photo: Callable[..., Colours], save: Callable[..., Path], red_model: Callable[..., Model]
) -> None:
    image = save(tmp_path / "long.png", np.tile(photo(0, 16, 16), (4100, 1, 1)))
    (row,) = predict_files([image], red_model(), Output(tmp_path / "out", ("overlay",)))
    assert (row.status, row.error) == ("done", "")
    with Image.open(tmp_path / "out" / "overlays" / "long.jpg") as drawn:
        assert drawn.size == (16, 65_500)
