"""The image in a DICOM file, as a viewer shows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.colour_profile import srgb_conversion
from mlffm_segdiff.data.image_formats import MAX_PIXELS
from mlffm_segdiff.data.image_memory import require_memory
from mlffm_segdiff.data.image_rows import STRIPE_PIXELS, ImageRows, Pixels
from mlffm_segdiff.inference.reading.dicom import DicomFile, header_value, unusual
from mlffm_segdiff.inference.reading.dicom_frame import ReadStored, Stored, dicom_bytes, frame_rows
from mlffm_segdiff.inference.reading.dicom_layout import (
    GRAYS,
    HALVED,
    PALETTE,
    YBR,
    PixelLayout,
    pixel_layout,
)
from mlffm_segdiff.inference.reading.gray_display import WindowError, gray_table, lowest_value

if TYPE_CHECKING:
    from pydicom import Dataset


def dicom_rows(found: DicomFile, data: bytes, name: str, most_pixels: int = MAX_PIXELS) -> ImageRows:
    """Return the image of a DICOM file as rows of sRGB, as a viewer shows it.

    Of several frames the first is taken. Gray goes through the modality and the VOI transformation (see
    `gray_table`), YBR and palettes become RGB, of more than 8 bits per colour the high ones are kept, and an
    ICC profile is applied.

    Args:
        found: The header.
        data: The whole file.
        name: Name of the file in errors.
        most_pixels: Largest size.

    Raises:
        UserError: The image is not a photograph, is too large or damaged, or no decoder for its compression
            is installed.
    """
    layout = pixel_layout(found.header, name, most_pixels)
    what = f"a DICOM image of {layout.width}x{layout.height}, {layout.samples}x{layout.allocated} bits"
    require_memory(len(data) + dicom_bytes(found, layout), name, what)
    try:
        read, layout = frame_rows(found, layout, data, name)
        shown = _display(found.header, layout, read)
    except UserError:
        raise
    except WindowError as error:
        raise unusual(name, str(error)) from error
    except Exception as error:  # decoders raise errors of many types on damaged bytes, some quote a value
        raise unusual(name, f"its pixels cannot be decoded, {type(error).__name__}") from error
    return ImageRows(layout.width, layout.height, lambda top, bottom: shown(read(top, bottom)))


def _display(header: Dataset, layout: PixelLayout, read: ReadStored) -> Callable[[Stored], Image.Image]:
    """Return the converter from stored rows to RGB."""
    if layout.kind in GRAYS:
        used = _used_range(layout, read) if layout.stored > 8 else None
        table = gray_table(header, layout.stored, layout.signed, layout.kind == "MONOCHROME1", used)
        return lambda rows: Image.fromarray(_looked_up(table, rows, layout)).convert("RGB")
    if layout.kind == PALETTE:
        colours = _palette(header, layout.stored)
        return lambda rows: Image.fromarray(_looked_up(colours, rows, layout))
    to_srgb = srgb_conversion(header_value(header, "ICCProfile"), "RGB")

    def show(rows: Stored) -> Image.Image:
        high = _high_bits(_full_colour(rows) if layout.kind == HALVED else rows, layout.stored)
        mode = "YCbCr" if layout.kind in YBR else "RGB"
        image = Image.frombytes(mode, (high.shape[1], high.shape[0]), high.tobytes()).convert("RGB")
        return to_srgb(image) if to_srgb else image

    return show


def _used_range(layout: PixelLayout, read: ReadStored) -> tuple[int, int]:
    """Return the lowest and the highest stored value."""
    rows = max(1, STRIPE_PIXELS // layout.width)
    stripes = (_values(read(top, top + rows), layout) for top in range(0, layout.height, rows))
    lows, highs = zip(*((stripe.min(), stripe.max()) for stripe in stripes), strict=True)
    return int(min(lows)), int(max(highs))


def _values(rows: Stored, layout: PixelLayout) -> npt.NDArray[np.int32]:
    """Return stored values without unused high bits."""
    unused = 8 * rows.dtype.itemsize - layout.stored
    return np.asarray(np.right_shift(np.left_shift(rows, unused), unused), np.int32)


def _looked_up(table: Pixels, rows: Stored, layout: PixelLayout) -> Pixels:
    values = _values(rows, layout)
    return np.take(table, values - lowest_value(layout.stored, layout.signed), axis=0, mode="clip")


def _palette(header: Dataset, bits: int) -> Pixels:
    from pydicom.pixels.processing import apply_color_lut

    colours = apply_color_lut(np.arange(2**bits).reshape(1, -1), header)[0, :, :3]
    return _high_bits(colours, header.RedPaletteColorLookupTableDescriptor[2])


def _full_colour(rows: Stored) -> Stored:
    """Return pixels of which two and two share their colour, as Y Y Cb Cr, with three samples each."""
    luma = rows[..., :2].reshape(len(rows), -1)
    return np.stack([luma, *(np.repeat(rows[..., at], 2, axis=1) for at in (2, 3))], axis=-1)


def _high_bits(colours: Stored, bits: int) -> Pixels:
    found = colours if bits <= 8 else np.right_shift(colours, bits - 8)
    return np.ascontiguousarray(found, dtype=np.uint8)
