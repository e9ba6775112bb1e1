"""A mask's outline drawn on its picture."""

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from mlffm_segdiff.data.contour import mask_contours
from mlffm_segdiff.inference.prediction import lesion_box

COLOUR = (0, 255, 255)
CASING = (0, 0, 0)
LINES_PER_SIDE = 250
FINE = 2048


def draw_outline(picture: Image.Image, mask: npt.NDArray[np.bool_]) -> None:
    """Draw the outline of a mask (HxW bool) on its picture (RGB, H high and W wide).

    The line is cyan within black, which shows on skin, lesion and ruler alike, and grows with the picture. Of
    a lesion of more than FINE pixels a side, every second pixel, or fewer, gives the line.
    """
    draw = ImageDraw.Draw(picture)
    width = max(1, round(min(picture.size) / LINES_PER_SIDE))
    rows, columns = lesion_box(mask)
    corner = (columns.start, rows.start)
    step = max(1, -(-max(rows.stop - rows.start, columns.stop - columns.start) // FINE))
    found = mask_contours(mask[rows, columns][::step, ::step])
    contours = [contour[:, ::-1] * step + corner for contour in found]
    for colour, thickness in ((CASING, 3 * width), (COLOUR, width)):
        for contour in contours:
            draw.line(contour.ravel().tolist(), fill=colour, width=thickness)
