"""A reduced image for display, colour measures and crops."""

from PIL import Image

from mlffm_segdiff.data.files import rgb_rows
from mlffm_segdiff.data.image_rows import Pixels

VIEW_SIDE = 512


def view_of(image: Image.Image) -> Pixels:
    """Return a Pillow RGB image as hxwx3 uint8, shrunk so that no side is above VIEW_SIDE pixels."""
    return rgb_rows(image, "").shrunk(VIEW_SIDE)
