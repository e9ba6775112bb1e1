"""Images and masks as files."""

import io
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from mlffm_segdiff.files.atomic import atomic_write, open_checked
from mlffm_segdiff.metrics.overlap import Mask

JPEG_QUALITY = 92


def save_image(image: Image.Image, path: Path) -> None:
    """Write an image atomically, in the format of its suffix. Raises UserError if it cannot be written."""
    kind = Image.registered_extensions()[path.suffix]
    with atomic_write(path) as temporary, open_checked(temporary) as file:
        image.save(file, kind, quality=JPEG_QUALITY, subsampling=0, compress_type=zlib.Z_RLE)


def mask_png(mask: Mask) -> bytes:
    """Return a mask (HxW bool) as the bytes of a PNG file, the same for the same mask."""
    stream = io.BytesIO()
    mask_image(mask).save(stream, "PNG", compress_type=zlib.Z_RLE)
    return stream.getvalue()


def mask_image(mask: Mask) -> Image.Image:
    """Return a mask (HxW bool) as an image of 0 and 255."""
    return Image.fromarray(mask * np.uint8(255))
