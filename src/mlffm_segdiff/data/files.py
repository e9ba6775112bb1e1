"""Decode image and mask files of any colour mode."""

import io
from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile, TiffImagePlugin

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.colour_profile import srgb_conversion
from mlffm_segdiff.data.gray_levels import Values, high_byte, white_of
from mlffm_segdiff.data.image_formats import (
    MAX_PIXELS,
    TIFF_HEIGHT,
    TIFF_WIDTH,
    check_size,
    check_speed,
    decoding_bytes,
    load_image,
    open_image,
    reported,
)
from mlffm_segdiff.data.image_memory import require_memory, reserved
from mlffm_segdiff.data.image_rows import ImageRows
from mlffm_segdiff.data.image_rows import Pixels as Pixels
from mlffm_segdiff.data.mask_values import MASK_FIX, MaskPixels, NotAMaskError, mask_pixels

Decoded = TypeVar("Decoded")

ORIENTATION = 0x0112
MIRRORED, TURNED = (3, 4, 7, 8), (5, 6, 7, 8)
"""EXIF orientations that start at the last row or column of the file; that exchange width and height."""

TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
MASK_BYTES = 6
"""Memory per pixel to read a mask: its values, and where they are grey or a label."""
GREY_NOISE = 24
"""Difference of the channels of a pixel, of 255, up to which it is grey."""
FEW = 0.01
"""Share of pixels in colour up to which an image is grey."""
DARKEST_DEEP = 15
"""Highest level of 255 that 12-bit colours reach where 16 bits are expected."""


def decode_image(data: bytes, name: str) -> Pixels:
    """Decode an image file.

    EXIF orientation is applied, colours with an ICC profile are converted to sRGB, transparent images are
    composited over white, grey of more than 8 bits keeps its high byte, and only the first of several frames
    is read.

    Args:
        data: Content of the file.
        name: Name of the file in errors.

    Returns:
        HxWx3 uint8 RGB.

    Raises:
        UserError: If the file is empty, truncated, not an image, or has more than MAX_PIXELS.
    """
    return _decode(data, name, 3, lambda image: rgb_rows(image, name).pixels())


def decode_pil(data: bytes, name: str) -> Image.Image:
    """Decode an image file as a Pillow RGB image without metadata, which may name a patient.

    Pixels and errors are those of `decode_image`; for large files this takes a third of its memory.

    Args:
        data: Content of the file.
        name: Name of the file in errors.
    """
    image = _decode(data, name, 4, lambda opened: rgb_rows(opened, name).whole())
    image.info.clear()
    return image


def read_mask(data: bytes, name: str, probability: bool = False) -> MaskPixels:
    """Decode a mask file; see `mask_pixels`. Colours are converted to luma, alpha is ignored.

    An image in colour is never a map of probabilities, but a photograph or an overlay.

    Args:
        data: Content of the file.
        name: Name of the file in errors.
        probability: Accept a map of probabilities, in which any number of pixels is grey.

    Raises:
        NotAMaskError: If the values of the file do not say which pixels are lesion.
        UserError: As `decode_image`.
    """

    def understood(image: Image.Image) -> MaskPixels:
        values = _gray(image, name)
        return mask_pixels(values, name, probability and not _in_colour(image))

    return _decode(data, name, MASK_BYTES, understood)


def decode_mask(data: bytes, name: str, probability: bool = False) -> npt.NDArray[np.bool_]:
    """Decode a mask file as a binary mask; see `read_mask`.

    Args:
        data: Content of the file.
        name: Name of the file in errors.
        probability: Accept a map of probabilities, see `read_mask`.

    Returns:
        HxW bool, True in the lesion.

    Raises:
        NotAMaskError: As `read_mask`.
        UserError: As `decode_image`.
    """
    return read_mask(data, name, probability).lesion


def image_size(data: bytes, name: str) -> tuple[int, int]:
    """Read the size of an image file from its header, before EXIF orientation.

    Errors are those of `decode_image`.

    Args:
        data: Content of the file.
        name: Name of the file in errors.

    Returns:
        Width and height in pixels.
    """
    with reported(name):
        return _stored_size(open_checked(data, name))


def upright_size(data: bytes, name: str) -> tuple[int, int]:
    """Return width and height of an image file after EXIF orientation, without decoding it.

    Errors are those of `decode_image`.
    """
    with reported(name):
        image = open_checked(data, name)
        width, height = _stored_size(image)
        return (height, width) if image.getexif().get(ORIENTATION, 1) in TURNED else (width, height)


def open_checked(data: bytes, name: str, most_pixels: int = MAX_PIXELS) -> ImageFile.ImageFile:
    """Open an image file without decoding it.

    Args:
        data: Content of the file.
        name: Name of the file in errors.
        most_pixels: Largest size.

    Raises:
        UserError: The file is empty, or decoding it would take too much memory or time.
        Exception: The header is damaged; see `reported`.
    """
    if not data:
        raise UserError(f"{name} is empty (0 bytes); restore the file")
    image = open_image(io.BytesIO(data))
    check_size(image.width, image.height, name, most_pixels)
    check_speed(image, name)
    kind = f"a {image.format} image of {image.width}x{image.height} (mode {image.mode})"
    require_memory(len(data) + decoding_bytes(image), name, kind)
    return image


def rgb_rows(image: Image.Image, name: str) -> ImageRows:
    """Return an image of any mode as upright rows of sRGB, as `decode_image` describes.

    Args:
        image: Decoded, or opened; its file is then decoded.
        name: Name in errors.

    Raises:
        UserError: Its values cannot be shown as 8 bits.
    """
    deep = _is_deep_colour(image)
    load_image(image)
    if deep and 0 < _highest(image) <= DARKEST_DEEP:
        raise UserError(
            f"{name} has 16-bit colours that are all nearly black, such as 12-bit values in a 16-bit file; "
            "scale them to 16 bits, or save it with 8 bits"
        )
    upright = _upright_rows(image)
    to_rgb = _rgb_conversion(image, upright, name)
    plain = upright.decoded is not None and to_rgb is None

    def read(top: int, bottom: int) -> Image.Image:
        rows = upright.read(top, bottom)
        return rows if to_rgb is None else to_rgb(rows)

    return ImageRows(upright.width, upright.height, read, image if plain else None)


def extent(pixels: npt.NDArray[np.generic]) -> str:
    """Return WIDTHxHEIGHT of an HxW or HxWx3 array, for messages."""
    return f"{pixels.shape[1]}x{pixels.shape[0]}"


def _decode(data: bytes, name: str, pixel_bytes: int, convert: Callable[[Image.Image], Decoded]) -> Decoded:
    """Decode a file to something of `pixel_bytes` per pixel, once there is memory for it."""
    with reported(name):
        image = open_checked(data, name)
        with reserved(decoding_bytes(image) + pixel_bytes * image.width * image.height):
            return convert(image)


def _stored_size(image: ImageFile.ImageFile) -> tuple[int, int]:
    """Return width and height of an opened image before EXIF orientation."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):  # of which Pillow gives the upright size
        return image.tag_v2[TIFF_WIDTH], image.tag_v2[TIFF_HEIGHT]
    return image.size


def _upright_rows(image: Image.Image) -> ImageRows:
    """Return the rows of an image in its own mode, with EXIF orientation applied."""
    orientation = image.getexif().get(ORIENTATION, 1)
    method = TRANSPOSITIONS.get(orientation)
    width, height = image.size

    def read(top: int, bottom: int) -> Image.Image:
        length = width if orientation in TURNED else height
        low, high = (length - bottom, length - top) if orientation in MIRRORED else (top, bottom)
        box = (low, 0, high, height) if orientation in TURNED else (0, low, width, high)
        rows = image.crop(box)
        return rows if method is None else rows.transpose(method)

    if method is None:
        return ImageRows(width, height, read, image)
    return ImageRows(*((height, width) if orientation in TURNED else (width, height)), read)


def _rgb_conversion(
    image: Image.Image, upright: ImageRows, name: str
) -> Callable[[Image.Image], Image.Image] | None:
    """Return the converter from rows of an image to RGB; None if they are RGB already."""
    white = white_of(_values(upright), name) if _is_deep(image) else 0
    mode = "L" if white or image.mode in ("1", "L", "LA", "La") else image.mode
    mode = mode if mode in ("L", "CMYK", "LAB") else "RGB"
    to_srgb = srgb_conversion(image.info.get("icc_profile"), mode)
    transparent = image.has_transparency_data
    if image.mode == "RGB" and to_srgb is None and not transparent:
        return None

    def convert(rows: Image.Image) -> Image.Image:
        if white:
            rows = Image.fromarray(high_byte(np.asarray(rows), white))
        rows = rows.convert("RGBA") if transparent else rows
        colours = rows.convert(mode)
        shown = to_srgb(colours) if to_srgb else colours.convert("RGB")
        if not transparent:
            return shown
        paper = Image.new("RGB", rows.size, "white")
        paper.paste(shown, mask=rows.getchannel("A"))
        return paper

    return convert


def _gray(image: Image.Image, name: str) -> Values:
    """Return the grey values of a mask. Raises NotAMaskError if they are all one and alpha has several."""
    load_image(image)
    upright = _upright_rows(image)
    values = np.empty((upright.height, upright.width), np.asarray(image.crop((0, 0, 1, 1))).dtype)
    top = 0
    for stripe in _values(upright):
        values[top : top + len(stripe)] = stripe
        top += len(stripe)
    if image.has_transparency_data and values.min() == values.max():
        low, high = image.convert("RGBA").getchannel("A").getextrema()
        if low != high:
            raise NotAMaskError(f"{name} has its mask only in the alpha channel; {MASK_FIX}, without alpha")
    return values


def _values(upright: ImageRows) -> Iterator[Values]:
    """Yield the grey values of an image in stripes."""
    for _, rows in upright.stripes():
        if _is_deep(rows):
            yield np.asarray(rows)
        else:
            opaque = rows if rows.mode in ("1", "L", "LA") else rows.convert("RGBA").convert("RGB")
            yield np.asarray(opaque.convert("L"))


def _in_colour(image: Image.Image) -> bool:
    """Return whether more than a few pixels have a colour, beyond the noise of JPEG."""
    if _is_deep(image) or image.mode in ("1", "L", "LA"):
        return False
    coloured = 0
    for _, rows in _upright_rows(image).stripes():
        colours = np.asarray(rows.convert("RGBA").convert("RGB"))
        coloured += int(np.count_nonzero(np.ptp(colours, axis=2) > GREY_NOISE))
    return coloured > FEW * image.width * image.height


def _is_deep(image: Image.Image) -> bool:
    return image.mode.startswith(("I", "F"))


def _is_deep_colour(image: Image.Image) -> bool:
    """Return whether an opened image holds colours of 16 bits, of which Pillow reads the high 8."""
    tiles = getattr(image, "tile", [])
    return not _is_deep(image) and any(";16" in str(tile.args) for tile in tiles)


def _highest(image: Image.Image) -> int:
    """Return the highest level of the colours."""
    bands = zip(image.getbands(), np.reshape(image.getextrema(), (-1, 2)), strict=True)
    return int(max(high for band, (_, high) in bands if band != "A"))
