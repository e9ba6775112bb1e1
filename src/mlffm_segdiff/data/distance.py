"""Exact Euclidean distance to a mask's contour."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt


def signed_distance(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Signed distance (HW, pixels) from each pixel's centre to the mask's contour, negative inside.

    The contour lies between pixels: a skin pixel is as far as its nearest lesion pixel's centre less
    a half, a lesion pixel as far as its nearest skin pixel's centre less a half. So the pixels on both
    sides of a straight edge are at +0.5 and -0.5, and no pixel is at 0. Pixels beyond the picture's
    border are neither: the border is no contour.

    mask: HW, True on the lesion. Without a contour the distance is the picture's diagonal
    sqrt(H^2 + W^2) everywhere: positive for an empty mask, negative for a full one.
    """
    if not mask.any():
        return np.full(mask.shape, math.hypot(*mask.shape), np.float32)
    if mask.all():
        return np.full(mask.shape, -math.hypot(*mask.shape), np.float32)
    box = _bounding_box(mask)
    distance = distance_transform_edt(~mask) - 0.5
    distance[box] = np.where(mask[box], 0.5 - distance_transform_edt(mask[box]), distance[box])
    return distance.astype(np.float32)


def _bounding_box(mask: NDArray[np.bool_]) -> tuple[slice, ...]:
    """The lesion's rows and columns and one more on each side.

    The skin pixel nearest to a lesion pixel is always in it: one further out could be replaced by the
    pixel beside the box's edge, which is skin too and nearer. So distances inside need no more.
    """
    spans = (np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0)))
    return tuple(slice(max(int(span[0]) - 1, 0), int(span[-1]) + 2) for span in spans)
