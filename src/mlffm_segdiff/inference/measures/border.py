"""How irregular a lesion's border is."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.spatial import ConvexHull

from mlffm_segdiff.inference.masks import subsample
from mlffm_segdiff.inference.measures.geometry import Geometry
from mlffm_segdiff.metrics.overlap import Mask

BOXES_ALONG = 4
MIN_SIZES = 3


@dataclass(frozen=True)
class Border:
    """Irregularity of a border, without a unit.

    Attributes:
        compactness: perimeter^2 / (4 pi area), 1 for a disc and more for any other shape; None if empty.
        solidity: Share of the convex hull that is lesion, 1 for a convex shape; None if empty.
        fractal_index: `box_dimension` of the border, about 1 for a smooth one; None for small masks.
    """

    compactness: float | None = None
    solidity: float | None = None
    fractal_index: float | None = None


def measure_border(mask: Mask, geometry: Geometry) -> Border:
    """Return the irregularity of the border of a lesion; the mask (HxW bool) is cropped to its box."""
    if not geometry.area:
        return Border()
    return Border(
        geometry.perimeter**2 / (4 * math.pi * geometry.area),
        geometry.area / hull_area(mask),
        box_dimension(subsample(mask)),
    )


def hull_area(mask: Mask) -> float:
    """Return the area in pixels of the convex hull of a mask's pixels, each a unit square; at least one."""
    rows = np.flatnonzero(mask.any(axis=1))
    first = mask.argmax(axis=1)[rows]
    end = mask.shape[1] - mask[:, ::-1].argmax(axis=1)[rows]
    corners = [np.stack([rows + down, columns], 1) for down in (0, 1) for columns in (first, end)]
    return float(ConvexHull(np.concatenate(corners)).volume)


def box_dimension(mask: Mask) -> float | None:
    """Return the box-counting dimension of the border of a mask (HxW bool), after Cross et al. 1995.

    Minus the slope of log(boxes that contain border) on log(side of the boxes), by least squares. Sides are
    powers of 2, from 2 to the mask's long side over BOXES_ALONG; None for fewer than MIN_SIZES
    of them. The boxes start one pixel before the mask. The border is the lesion pixels of which one of the
    four neighbours is not lesion.
    """
    sides = [2**k for k in range(1, 16) if 2**k <= max(mask.shape) / BOXES_ALONG]
    if len(sides) < MIN_SIZES or not mask.any():
        return None
    boxes = np.pad(_border_pixels(mask), [(1, -(length + 1) % sides[-1]) for length in mask.shape])
    counts = []
    for _ in sides:
        boxes = boxes[::2] | boxes[1::2]
        boxes = boxes[:, ::2] | boxes[:, 1::2]
        counts.append(np.count_nonzero(boxes))
    slope, _ = np.polyfit(np.log(sides), np.log(counts), 1)
    return -float(slope)


def _border_pixels(mask: Mask) -> Mask:
    framed = np.pad(mask, 1)
    inside = framed[:-2, 1:-1] & framed[2:, 1:-1] & framed[1:-1, :-2] & framed[1:-1, 2:]
    found: Mask = mask & ~inside
    return found
