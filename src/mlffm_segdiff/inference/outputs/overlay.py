"""The outline of a mask, and the band that its true outline is in, drawn on its image."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from mlffm_segdiff.data.contour import mask_contours
from mlffm_segdiff.inference.masks import lesion_box
from mlffm_segdiff.inference.outputs.image_file import save_image
from mlffm_segdiff.inference.outputs.writers import Writer
from mlffm_segdiff.inference.result import CaseResult
from mlffm_segdiff.metrics.overlap import Mask

Colour = tuple[int, int, int]

COLOUR: Colour = (0, 255, 255)
CASING = (0, 0, 0)
BAND_COLOUR: Colour = (255, 200, 0)
BAND_OPACITY = 110
"""Of the band, out of 255."""
LINES_PER_SIDE = 250
FINE = 2048
MAX_SIDE = 65_500
"""Pixels per side that libjpeg can write; the overlays of longer images are smaller than these."""


class OverlayWriter(Writer):
    """overlays/NAME.jpg, the image with the outline of the mask."""

    needs_image = True

    def case_files(self, stem: str) -> tuple[str, ...]:
        """Return the file of the overlay."""
        return (f"overlays/{stem}.jpg",)

    def write(self, result: CaseResult) -> None:
        """Draw the outline on a copy of the image and write it."""
        image = result.image.full_size.copy()
        draw_outline(image, result.mask)
        _save(image, *self.paths(result.image.stem))


class BandWriter(Writer):
    """bands/NAME.jpg, the image with the outline on the band between inner and outer contour."""

    needs_image = True

    def case_files(self, stem: str) -> tuple[str, ...]:
        """Return the file of the overlay."""
        return (f"bands/{stem}.jpg",)

    def write(self, result: CaseResult) -> None:
        """Draw band and outline on a copy of the image and write it; the outline only if there is no band."""
        image = result.image.full_size.copy()
        if (band := result.band) is not None:
            draw_band(image, band.between)
        draw_outline(image, result.mask)
        _save(image, *self.paths(result.image.stem))


def draw_band(image: Image.Image, band: Mask) -> None:
    """Tint the pixels between inner and outer contour (HxW bool) of an image (RGB), in place."""
    image.paste(BAND_COLOUR, mask=Image.fromarray(band * np.uint8(BAND_OPACITY)))


def draw_outline(image: Image.Image, mask: Mask, colour: Colour = COLOUR) -> None:
    """Draw the outline of a mask (HxW bool) on its image (RGB, H high and W wide), in place.

    The line is within black, which is visible on skin, lesion and ruler, and scales with the image. Of a
    lesion with more than FINE pixels per side, the line follows every second pixel, or fewer.
    """
    draw = ImageDraw.Draw(image)
    width = max(1, round(min(image.size) / LINES_PER_SIDE))
    rows, columns = lesion_box(mask)
    corner = (columns.start, rows.start)
    step = max(1, -(-max(rows.stop - rows.start, columns.stop - columns.start) // FINE))
    found = mask_contours(mask[rows, columns][::step, ::step])
    contours = [contour[:, ::-1] * step + corner for contour in found]
    for fill, thickness in ((CASING, 3 * width), (colour, width)):
        for contour in contours:
            draw.line(contour.ravel().tolist(), fill=fill, width=thickness)


def _save(image: Image.Image, path: Path) -> None:
    image.thumbnail((MAX_SIDE, MAX_SIDE))  # leaves smaller ones as they are
    save_image(image, path)
