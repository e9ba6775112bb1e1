"""A reduced image for display, colour measures and crops."""

import numpy as np
import numpy.typing as npt
from PIL import Image

VIEW_SIDE = 512


def view_of(image: Image.Image) -> npt.NDArray[np.uint8]:
    """Return a Pillow RGB image as hxwx3 uint8, shrunk so that no side is above VIEW_SIDE pixels."""
    scale = VIEW_SIDE / max(image.size)
    if scale >= 1:
        return np.array(image, dtype=np.uint8)
    width, height = (max(1, round(side * scale)) for side in image.size)
    return np.array(image.resize((width, height), Image.Resampling.BOX, reducing_gap=2), dtype=np.uint8)
