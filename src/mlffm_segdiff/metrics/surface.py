"""Distances between the contours of two masks, in pixels.

A contour is the lesion's pixels that touch background or the image's frame by an edge (MONAI's
definition). `metrics.empty` states the scores of a mask that has no contour.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from monai.metrics.utils import get_mask_edges, get_surface_distance

from mlffm_segdiff.metrics.empty import boundary_dice_without_contour, distance_without_contour
from mlffm_segdiff.metrics.overlap import Mask, check_pair

Distances = npt.NDArray[np.float32]

TOLERANCE = 2.0


@dataclass(frozen=True)
class SurfaceScores:
    """Contour scores: hd95 and assd in pixels, 0 is best; boundary_dice in [0, 1], 1 is best."""

    hd95: float
    assd: float
    boundary_dice: float


def contour_distances(predicted: Mask, truth: Mask) -> tuple[Distances, Distances]:
    """Return, for each contour pixel, the distance to the other mask's contour.

    predicted, truth: HxW bool, neither empty. First the predicted contour's distances, then the truth's.
    """
    predicted_edge, truth_edge = get_mask_edges(predicted, truth, crop=False)
    return (
        get_surface_distance(predicted_edge, truth_edge),
        get_surface_distance(truth_edge, predicted_edge),
    )


def surface_scores(predicted: Mask, truth: Mask, tolerance: float = TOLERANCE) -> SurfaceScores:
    """Score the contours of two HxW bool masks, as MONAI does where both have one. Raises as `check_pair`.

    hd95: the larger of the two directed 95th percentiles. assd: mean distance over the pixels of both
    contours. boundary_dice: share of those pixels within `tolerance` pixels of the other contour (the
    normalised surface Dice of Nikolov et al. 2021).
    """
    check_pair(predicted, truth)
    empty = [not predicted.any(), not truth.any()]
    if any(empty):
        distance = distance_without_contour(all(empty), *truth.shape)
        return SurfaceScores(distance, distance, boundary_dice_without_contour(all(empty)))
    directed = contour_distances(predicted, truth)
    distances = np.concatenate(directed)
    return SurfaceScores(
        hd95=max(float(np.percentile(one, 95)) for one in directed),
        assd=float(distances.mean()),
        boundary_dice=float((distances <= tolerance).mean()),
    )
