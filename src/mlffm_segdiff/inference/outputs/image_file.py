"""Images and masks as files."""

import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from mlffm_segdiff.data.atomic import atomic_write
from mlffm_segdiff.metrics.overlap import Mask

JPEG_QUALITY = 92


def save_image(image: Image.Image, path: Path) -> None:
    """Write an image atomically. Raises UserError if it cannot be written."""
    with atomic_write(path) as temporary:
        image.save(temporary, quality=JPEG_QUALITY, subsampling=0, compress_type=zlib.Z_RLE)


def mask_image(mask: Mask) -> Image.Image:
    """Return a mask (HxW bool) as an image of 0 and 255."""
    return Image.fromarray(mask * np.uint8(255))
