"""Decode image and mask files, whatever their colour mode, to arrays."""

import io
from collections.abc import Callable
from importlib import import_module
from threading import Lock
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from mlffm_segdiff.config.errors import UserError

Pixels = npt.NDArray[np.uint8]
Decoded = TypeVar("Decoded")

MOST_PIXELS = 200_000_000
HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
_PILLOWS_LIMIT = Lock()


def decode_image(data: bytes, name: str) -> Pixels:
    """HxWx3 uint8 RGB of an image file's bytes.

    EXIF orientation is applied, alpha is laid over white, 16-bit gray keeps its high byte, and of
    several frames the first is taken. `name` names the file in errors.
    Raises UserError if the bytes are none, cut off, no image, or one of more than MOST_PIXELS.
    """
    return np.array(decode_pil(data, name), dtype=np.uint8)


def decode_pil(data: bytes, name: str) -> Image.Image:
    """Pillow's RGB image of an image file's bytes, without metadata: a comment may name a patient.

    Pixels and errors are those of `decode_image`; for large files this takes a third of its memory.
    """
    picture = _decode(data, name, _to_rgb)
    picture.info.clear()
    return picture


def decode_gray(data: bytes, name: str) -> Pixels:
    """HxW uint8, the gray value shown (0 to 255) of a mask file.

    0 and exactly one other value become 0 and 255, so that 0/1, 0/255, 0/k in 16 bits and one dark colour on
    black are alike; a mask of ones alone is all 255. Colours and palettes count by luma, alpha is ignored.
    Raises UserError as `decode_image` does.
    """
    return _decode(data, name, _to_gray)


def decode_mask(data: bytes, name: str) -> npt.NDArray[np.bool_]:
    """HxW bool of a mask file: True (lesion) where its gray value is at least half the full range.

    Of exactly two values the brighter is lesion if the other is 0; see `decode_gray`.
    Raises UserError as `decode_image` does.
    """
    return decode_gray(data, name) >= 128


def image_pixels(data: bytes, name: str) -> int:
    """How many pixels an image file's bytes hold, by its header. Raises UserError as `decode_image` does."""
    return _decode(data, name, lambda image: image.width * image.height, turned=False)


def check_size(width: int, height: int, name: str) -> None:
    """Raise UserError if a picture has more than MOST_PIXELS, which memory would not hold."""
    if width * height > MOST_PIXELS:
        raise UserError(
            f"{name} is {width}x{height}, that is {width * height / 1e6:,.0f} megapixels, and at most "
            f"{MOST_PIXELS / 1e6:,.0f} are read; cut the lesion out or shrink the picture"
        )


def extent(pixels: npt.NDArray[np.generic]) -> str:
    """WIDTHxHEIGHT of an array HxW or HxWx3, for messages."""
    return f"{pixels.shape[1]}x{pixels.shape[0]}"


def _decode(
    data: bytes, name: str, convert: Callable[[Image.Image], Decoded], turned: bool = True
) -> Decoded:
    if not data:
        raise UserError(f"{name} is empty (0 bytes); restore the file")
    _register_heif(data, name)
    try:
        with _open(data) as image:
            check_size(image.width, image.height, name)
            if turned:
                ImageOps.exif_transpose(image, in_place=True)
            return convert(image)
    except UserError:
        raise
    except UnidentifiedImageError as error:
        raise UserError(f"{name} is not an image this program can read; convert it to PNG or JPEG") from error
    except Exception as error:  # Pillow's decoders raise many kinds on damaged bytes
        raise UserError(f"{name} is damaged or cut off ({error}); restore the file") from error


def _open(data: bytes) -> Image.Image:
    """Pillow's own limit, a warning from 89 megapixels on and an error from 179, gives way to ours."""
    with _PILLOWS_LIMIT:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(io.BytesIO(data))
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _register_heif(data: bytes, name: str) -> None:
    """Let Pillow read HEIC where pillow-heif is installed; no extra of ours: its wheels hold x265 (GPL)."""
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


def _to_gray(image: Image.Image) -> Pixels:
    deep = _is_deep(image)
    values = np.asarray(image) if deep else _shown_gray(image)
    if _is_marked(values):
        return np.where(values > 0, np.uint8(255), np.uint8(0))
    return _high_byte(values) if deep else np.asarray(values, dtype=np.uint8)


def _shown_gray(image: Image.Image) -> Pixels:
    opaque = image if image.mode in ("1", "L", "LA") else image.convert("RGBA").convert("RGB")
    return np.array(opaque.convert("L"), dtype=np.uint8)


def _is_marked(values: npt.NDArray[np.generic]) -> bool:
    """Whether there are exactly two values and the lower is 0, or ones alone."""
    low, high = values.min(), values.max()
    return bool(high == 1 if low == high else low == 0 and np.isin(values, (low, high)).all())


def _is_deep(image: Image.Image) -> bool:
    return image.mode.startswith(("I", "F"))


def _high_byte(values: npt.NDArray[np.generic]) -> Pixels:
    """uint8 from gray in 16 bits, in 32-bit integers that hold 16, or in floats (0 to 1, or 0 to 255)."""
    if values.dtype == np.uint16:
        return np.asarray(np.right_shift(values, 8), dtype=np.uint8)
    scaled = np.asarray(values, dtype=np.float64)
    if np.issubdtype(values.dtype, np.floating):
        scaled = scaled * (65535 if scaled.max() <= 1 else 257)
    wide = np.rint(scaled).astype(np.int64)
    if wide.min() < 0 or wide.max() > 65535:
        raise ValueError(f"gray values {wide.min()} to {wide.max()} exceed 16 bits")
    return (wide >> 8).astype(np.uint8)
