"""The outline of a mask."""

import numpy as np
import numpy.typing as npt
from skimage.measure import find_contours


def mask_contours(mask: npt.NDArray[np.bool_]) -> list[npt.NDArray[np.float64]]:
    """Closed contours (rows of y, x in pixels) of an HxW bool mask, along the frame too; none if empty."""
    found: list[npt.NDArray[np.float64]] = find_contours(np.pad(mask, 1).astype(np.float32), 0.5)
    return [contour - 1 for contour in found]
