"""Contours of a mask."""

import numpy as np
import numpy.typing as npt
from skimage.measure import find_contours


def mask_contours(mask: npt.NDArray[np.bool_]) -> list[npt.NDArray[np.float64]]:
    """Return the closed contours of an HxW bool mask, also along the border, as rows of (y, x) in pixels."""
    found: list[npt.NDArray[np.float64]] = find_contours(np.pad(mask, 1).astype(np.float32), 0.5)
    return [contour - 1 for contour in found]
