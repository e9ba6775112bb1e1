"""A mask's outline drawn on its picture."""

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from mlffm_segdiff.data.contour import mask_contours
from mlffm_segdiff.inference.model import Pixels

COLOUR = (0, 255, 255)
CASING = (0, 0, 0)
LINES_PER_SIDE = 250


def draw_outline(image: Pixels, mask: npt.NDArray[np.bool_]) -> Pixels:
    """Return a copy of an HxWx3 uint8 picture with the outline of its HxW bool mask.

    The line is cyan within black, which shows on skin, lesion and ruler alike, and grows with the picture.
    """
    canvas = Image.fromarray(image)
    draw = ImageDraw.Draw(canvas)
    width = max(1, round(min(image.shape[:2]) / LINES_PER_SIDE))
    contours = [contour[:, ::-1].ravel().tolist() for contour in mask_contours(mask)]
    for colour, thickness in ((CASING, 3 * width), (COLOUR, width)):
        for contour in contours:
            draw.line(contour, fill=colour, width=thickness)
    return np.asarray(canvas)
