"""A small picture of a case with its outline."""

import numpy as np
import numpy.typing as npt
from PIL import Image

from mlffm_segdiff.inference.measures.colour import mask_at
from mlffm_segdiff.inference.model import Pixels
from mlffm_segdiff.inference.overlay import draw_outline

SIDE = 320


def thumbnail(view: Pixels, mask: npt.NDArray[np.bool_]) -> Image.Image:
    """Return a picture, no side above SIDE, with the outline of its mask (HxW bool, of the picture's size).

    view: hxwx3 uint8, see `view_of`.
    """
    picture = Image.fromarray(view)
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    draw_outline(picture, mask_at(mask, picture.height, picture.width))
    return picture
