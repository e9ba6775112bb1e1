"""An image at a size to show, to read colours on and to crop from."""

import numpy as np
import numpy.typing as npt
from PIL import Image

VIEW_SIDE = 512


def view_of(picture: Image.Image) -> npt.NDArray[np.uint8]:
    """Return hxwx3 uint8 of Pillow's RGB picture, shrunk so that no side is above VIEW_SIDE."""
    scale = VIEW_SIDE / max(picture.size)
    if scale >= 1:
        return np.array(picture, dtype=np.uint8)
    width, height = (max(1, round(side * scale)) for side in picture.size)
    return np.array(picture.resize((width, height), Image.Resampling.BOX, reducing_gap=2), dtype=np.uint8)
