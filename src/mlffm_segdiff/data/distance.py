"""Exact Euclidean distance to the contour of a mask."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt


def signed_distance(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Compute the signed distance from each pixel to the contour of a mask, negative inside.

    The contour is between pixels: the distance of a skin pixel is that to the nearest lesion pixel minus
    one half, and vice versa. So pixels on both sides of a straight edge are at +0.5 and -0.5, and
    no pixel is at 0. The image border is not a contour.

    Args:
        mask: HxW, True on the lesion.

    Returns:
        Distance in pixels, HxW. Without a contour it is the image diagonal sqrt(H^2 + W^2) everywhere:
        positive for an empty mask, negative for a full one.
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
    """Return the lesion's rows and columns with a margin of one pixel.

    The skin pixel nearest to a lesion pixel is always in this box: of pixels outside, the one on the margin
    is also skin, and nearer. So distances inside the lesion need only the box.
    """
    spans = (np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0)))
    return tuple(slice(max(int(span[0]) - 1, 0), int(span[-1]) + 2) for span in spans)
