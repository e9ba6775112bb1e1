"""Decode image and mask files of any colour mode."""

import io
from collections.abc import Callable
from importlib import import_module
from threading import Lock
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.mask_values import MaskPixels, mask_pixels

Pixels = npt.NDArray[np.uint8]
Decoded = TypeVar("Decoded")

MOST_PIXELS = 200_000_000
HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
_PILLOW_LIMIT = Lock()


def decode_image(data: bytes, name: str) -> Pixels:
    """Decode an image file.

    EXIF orientation is applied, transparent images are composited over white, 16-bit gray keeps its high
    byte, and only the first of several frames is read.

    Args:
        data: Content of the file.
        name: Name of the file in errors.

    Returns:
        HxWx3 uint8 RGB.

    Raises:
        UserError: If the file is empty, truncated, not an image, or has more than MOST_PIXELS.
    """
    return np.array(decode_pil(data, name), dtype=np.uint8)


def decode_pil(data: bytes, name: str) -> Image.Image:
    """Decode an image file as a Pillow RGB image without metadata, which may name a patient.

    Pixels and errors are those of `decode_image`; for large files this takes a third of its memory.
    """
    image = _decode(data, name, _to_rgb)
    image.info.clear()
    return image


def read_mask(data: bytes, name: str, probability: bool = False) -> MaskPixels:
    """Decode a mask file; see `mask_pixels`.

    Args:
        data: Content of the file.
        name: Name of the file in errors.
        probability: Accept a map of probabilities, in which any number of pixels is gray.

    Raises:
        NotAMaskError: If the values of the file do not say which pixels are lesion.
        UserError: As `decode_image`.
    """
    return _decode(data, name, lambda image: mask_pixels(image, name, probability))


def decode_mask(data: bytes, name: str, probability: bool = False) -> npt.NDArray[np.bool_]:
    """Decode a mask file as HxW bool, True in the lesion. Arguments and errors are those of `read_mask`."""
    return read_mask(data, name, probability).lesion


def image_pixels(data: bytes, name: str) -> int:
    """Return the number of pixels from an image file's header. Errors are those of `decode_image`."""
    return _decode(data, name, lambda image: image.width * image.height, upright=False)


def check_size(width: int, height: int, name: str) -> None:
    """Raise UserError if an image has more than MOST_PIXELS, too many for the memory."""
    if width * height > MOST_PIXELS:
        raise UserError(
            f"{name} is {width}x{height}, that is {width * height / 1e6:,.0f} megapixels, above the limit of "
            f"{MOST_PIXELS / 1e6:,.0f}; crop the lesion or shrink the image"
        )


def extent(pixels: npt.NDArray[np.generic]) -> str:
    """Return WIDTHxHEIGHT of an HxW or HxWx3 array, for messages."""
    return f"{pixels.shape[1]}x{pixels.shape[0]}"


def _decode(
    data: bytes, name: str, convert: Callable[[Image.Image], Decoded], upright: bool = True
) -> Decoded:
    if not data:
        raise UserError(f"{name} is empty (0 bytes); restore the file")
    _register_heif(data, name)
    try:
        with _open(data) as image:
            check_size(image.width, image.height, name)
            if upright:
                ImageOps.exif_transpose(image, in_place=True)
            return convert(image)
    except UserError:
        raise
    except UnidentifiedImageError as error:
        raise UserError(f"{name} is not an image this program can read; convert it to PNG or JPEG") from error
    except Exception as error:  # Pillow's decoders raise errors of many types on damaged bytes
        raise UserError(f"{name} is damaged or truncated ({error}); restore the file") from error


def _open(data: bytes) -> Image.Image:
    """Open an image without Pillow's own limits on the number of pixels."""
    with _PILLOW_LIMIT:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(io.BytesIO(data))
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _register_heif(data: bytes, name: str) -> None:
    """Register pillow-heif for HEIC files; it is not in an extra because its wheels contain x265 (GPL)."""
    if data[4:8] != b"ftyp" or data[8:12] not in HEIF_BRANDS:
        return
    try:
        import_module("pillow_heif").register_heif_opener()
    except ImportError as error:
        raise UserError(
            f"{name} is HEIC, which needs the package pillow-heif; install it, or convert the file to JPEG"
        ) from error


def _to_rgb(image: Image.Image) -> Image.Image:
    if _is_deep(image):
        image = Image.fromarray(_high_byte(np.asarray(image)))
    if image.has_transparency_data:
        layer = image if image.mode == "RGBA" else image.convert("RGBA")
        image = Image.new("RGB", layer.size, "white")
        image.paste(layer, mask=layer)
    return image if image.mode == "RGB" else image.convert("RGB")


def _is_deep(image: Image.Image) -> bool:
    return image.mode.startswith(("I", "F"))


def _high_byte(values: npt.NDArray[np.generic]) -> Pixels:
    """Convert 16-bit gray, as uint16, int32 or float (0 to 1, or 0 to 255), to uint8."""
    if values.dtype == np.uint16:
        return np.asarray(np.right_shift(values, 8), dtype=np.uint8)
    scaled = np.asarray(values, dtype=np.float64)
    if np.issubdtype(values.dtype, np.floating):
        scaled = scaled * (65535 if scaled.max() <= 1 else 257)
    wide = np.rint(scaled).astype(np.int64)
    if wide.min() < 0 or wide.max() > 65535:
        raise ValueError(f"gray values {wide.min()} to {wide.max()} exceed 16 bits")
    return (wide >> 8).astype(np.uint8)
