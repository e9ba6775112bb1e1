"""The image formats that are decoded, by content, and what decoding them takes."""

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import IO, Any

from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from mlffm_segdiff.config.errors import UserError, reason_of
from mlffm_segdiff.data.image_rows import NARROW_BYTES, STRIPE_BYTES, STRIPE_PIXELS

PLUGINS = (
    PngImagePlugin,
    JpegImagePlugin,
    TiffImagePlugin,
    BmpImagePlugin,
    WebPImagePlugin,
    GifImagePlugin,
    AvifImagePlugin,
)
FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP", "GIF", "AVIF", "HEIF")
"""The only formats that are decoded: others start programs (EPS) or are decoded in Python (FITS, PPM)."""

HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
MAGIC_BYTES = 64
MAX_PIXELS = 200_000_000
SLOW_PIXELS = 10_000_000

PIXEL_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2, "I;16N": 2}
"""Bytes per pixel that Pillow holds by mode; 4 in all others."""

WORKING_BYTES = {"WEBP": 12, "AVIF": 12, "HEIF": 12}
"""Bytes per pixel that a format's library holds while it decodes."""

TIFF_WIDTH, TIFF_HEIGHT = 256, 257
ROWS_PER_STRIP, BITS_PER_SAMPLE, TILE_WIDTH, TILE_HEIGHT, TIFF_ORIENTATION = 278, 258, 322, 323, 274
UNCOMPRESSED = "raw"
JPEG_SCAN = b"\xff\xda"


def open_image(file: IO[bytes]) -> ImageFile.ImageFile:
    """Open an image of one of FORMATS without decoding it.

    Unlike `Image.open` this neither has nor changes Pillow's limit on the number of pixels; see `check_size`.

    Raises:
        UnidentifiedImageError: It is of no such format.
    """
    start = file.read(MAGIC_BYTES)
    require_heif(start)
    for factory, accepts in _plugins():
        if accepts(start[:16]) is True:
            file.seek(0)
            try:
                image: ImageFile.ImageFile = factory(file, "")
                return image
            except (SyntaxError, IndexError, TypeError, struct.error) as error:  # as `Image.open` does
                raise UnidentifiedImageError("damaged header") from error
    raise UnidentifiedImageError("of no known format")


def has_known_format(start: bytes) -> bool:
    """Return whether a file that starts with these bytes (16 or more) is of one of FORMATS."""
    return any(accepts(start[:16]) is True for _, accepts in _plugins())


def _plugins() -> Iterator[tuple[Any, Any]]:
    """Yield the opener of each format, and the function that recognises it by its first bytes."""
    yield from (Image.OPEN[name] for name in FORMATS if name in Image.OPEN)


def load_image(image: Image.Image) -> None:
    """Decode an opened image, without Pillow's limit on the number of pixels."""
    if isinstance(image, TiffImagePlugin.TiffImageFile) and image.tile:
        size = image.tag_v2[TIFF_WIDTH], image.tag_v2[TIFF_HEIGHT]
        image.im = Image.new(image.mode, size).im  # otherwise made by Pillow, which checks its limit again
    image.load()


@contextmanager
def reported(name: str) -> Iterator[None]:
    """Turn every error of reading an image into a UserError that names the file."""
    try:
        yield
    except UserError:
        raise
    except UnidentifiedImageError as error:
        raise UserError(f"{name} is not an image this program can read; convert it to PNG or JPEG") from error
    except ImportError as error:
        raise UserError(
            f"{name} is HEIC, which needs the package pillow-heif; install it, or convert the file to JPEG"
        ) from error
    except MemoryError as error:
        raise UserError(f"{name} needs more memory than is free; shrink it or crop the lesion") from error
    except Exception as error:  # decoders raise errors of many types on damaged bytes
        reason = reason_of(error)
        raise UserError(f"{name} is damaged or truncated ({reason}); restore the file") from error


def check_size(width: int, height: int, name: str, most_pixels: int = MAX_PIXELS) -> None:
    """Refuse an image without pixels, or with too many.

    Args:
        width: Width in pixels.
        height: Height in pixels.
        name: Name of the file in errors.
        most_pixels: Largest number of pixels.

    Raises:
        UserError: The image has no pixels, or more than `most_pixels`.
    """
    if width < 1 or height < 1:
        raise UserError(f"{name} is {width}x{height}, which has no pixels; restore the file")
    if width * height > most_pixels:
        raise UserError(
            f"{name} is {width}x{height}, that is {width * height / 1e6:,.0f} megapixels, above the limit of "
            f"{most_pixels / 1e6:,g}; crop the lesion or shrink the image"
        )


def check_speed(image: ImageFile.ImageFile, name: str) -> None:
    """Raise UserError for a large image that Pillow decodes byte by byte in Python: run-length BMP."""
    codec = image.tile[0].codec_name if image.tile else ""
    if codec == "bmp_rle" and image.width * image.height > SLOW_PIXELS:
        raise UserError(
            f"{name} is a run-length encoded BMP of over {SLOW_PIXELS / 1e6:g} megapixels, which is slow to "
            "decode; save it as PNG"
        )


def decoding_bytes(image: ImageFile.ImageFile) -> int:
    """Return the memory that an opened image takes while it is decoded and read as `ImageRows`."""
    pixels = image.width * image.height
    held = pixels * PIXEL_BYTES.get(image.mode, 4)
    working = pixels * WORKING_BYTES.get(image.format or "", 0)
    if image.format == "TIFF":
        working = _tiff_bytes(image, held)
    if isinstance(image, JpegImagePlugin.JpegImageFile) and _has_several_scans(image):
        working = _coefficient_bytes(image)
    return held + working + striping_bytes(image.width, image.height)


def striping_bytes(width: int, height: int) -> int:
    """Return the memory that `ImageRows` takes while an image is converted and shrunk."""
    return STRIPE_BYTES * max(STRIPE_PIXELS, width) + NARROW_BYTES * height


def _has_several_scans(image: JpegImagePlugin.JpegImageFile) -> bool:
    """Return whether a JPEG image is progressive, or has a scan for each component."""
    file = image.fp
    if "progressive" in image.info or file is None:
        return "progressive" in image.info
    position = file.tell()
    file.seek(2)
    while (marker := file.read(2)) and len(marker) == 2 and marker != JPEG_SCAN:
        file.seek(max(0, int.from_bytes(file.read(2), "big") - 2), os.SEEK_CUR)
    components = file.read(3)[2:]
    file.seek(position)
    return components < bytes([len(image.getbands())])


def _coefficient_bytes(image: JpegImagePlugin.JpegImageFile) -> int:
    """Return the memory for two bytes per coefficient; components may be smaller than the image."""
    factors = [(across, down) for _, across, down, _ in image.layer]
    widest, highest = (max(sizes) for sizes in zip(*factors, strict=True))
    samples = sum(across * down for across, down in factors) / (widest * highest)
    return int(2 * samples * image.width * image.height)


def _tiff_bytes(image: ImageFile.ImageFile, held: int) -> int:
    """Return the memory for a strip or tile, and for turning the image, which Pillow does on its own."""
    assert isinstance(image, TiffImagePlugin.TiffImageFile)
    tags = image.tag_v2
    turned = held if tags.get(TIFF_ORIENTATION, 1) != 1 else 0
    if image.tile and image.tile[0].codec_name == UNCOMPRESSED:
        return turned
    bits = sum(tags.get(BITS_PER_SAMPLE, (8,)))
    rows = min(tags.get(ROWS_PER_STRIP, image.height), image.height)
    tile = tags.get(TILE_WIDTH, 0) * tags.get(TILE_HEIGHT, 0)
    return max(turned, int(tile or rows * image.width) * int(bits) // 8)


def require_heif(start: bytes) -> None:
    """Register pillow-heif for HEIC files; it is not in an extra because its wheels contain x265 (GPL).

    Raises:
        ImportError: The first bytes are of a HEIC file, and pillow-heif is not installed.
    """
    if start[4:8] == b"ftyp" and start[8:12] in HEIF_BRANDS and b"avif" not in start[8:MAGIC_BYTES]:
        import_module("pillow_heif").register_heif_opener()
