"""The edge of a binary mask as found by OpenCV's Canny."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import sobel

TAN_22_5 = np.float32(math.sqrt(2) - 1)


def canny_edge(lesion: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Find the edge pixels of a lesion, those of ``cv2.Canny(mask, 0, 0)`` on a mask of 0 and 1.

    Canny 1986 as in OpenCV: 3 x 3 Sobel, strength |dx| + |dy|, and the pixels stronger than both neighbours
    along the gradient, in the nearest of four directions; thresholds of 0 keep them all. Next to a straight
    edge two pixels tie and OpenCV keeps the upper or the left one, so the edge of a mirrored mask is not
    always the mirrored edge. (scikit-image's Canny keeps both, smooths, and leaves out the border.)

    Args:
        lesion: The mask, HW.

    Returns:
        The edge pixels, HW.
    """
    grey = lesion.astype(np.int8)  # a gradient is at most 4
    dx, dy = sobel(grey, axis=1, mode="nearest"), sobel(grey, axis=0, mode="nearest")
    strength = abs(dx) + abs(dy)
    along_row = abs(dy) < TAN_22_5 * abs(dx)
    along_column = abs(dx) < TAN_22_5 * abs(dy)
    falling = dx * dy > 0
    peak = np.select(
        [along_row, along_column, falling],
        [_peak(strength, 0, 1, True), _peak(strength, 1, 0, True), _peak(strength, 1, 1, False)],
        _peak(strength, 1, -1, False),
    )
    return np.asarray((strength > 0) & peak)


def _peak(strength: NDArray[np.int8], down: int, right: int, later_may_tie: bool) -> NDArray[np.bool_]:
    """Find pixels stronger than those at (-down, -right) and (down, right), which are 0 beyond the border."""
    height, width = strength.shape
    padded = np.pad(strength, 1)
    before = padded[1 - down : 1 - down + height, 1 - right : 1 - right + width]
    after = padded[1 + down : 1 + down + height, 1 + right : 1 + right + width]
    ahead = strength >= after if later_may_tie else strength > after
    return (strength > before) & ahead
