"""Distances between the contours of two masks, in pixels and in percent of the image's diagonal.

The contour is the set of lesion pixels that share an edge with background or the image border (MONAI's
definition). `metrics.empty` documents masks without a contour.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from monai.metrics.utils import get_mask_edges, get_surface_distance

from mlffm_segdiff.metrics.overlap import Mask, check_pair

Distances = npt.NDArray[np.float32]

TOLERANCE = 0.01
"""Distance within which a contour counts as correct, as a share of the image diagonal."""


@dataclass(frozen=True)
class SurfaceScores:
    """Contour scores.

    Attributes:
        hd95: The larger of the two directed 95th percentiles of the distance, in pixels; 0 is best.
        hd95_percent: The same in percent of the image's diagonal, which compares images of different sizes.
        assd: Mean distance over the pixels of both contours, in pixels; 0 is best.
        assd_percent: The same in percent of the image's diagonal.
        boundary_dice: Share of those pixels within the tolerance of the other contour, in [0, 1]; the
            normalised surface Dice of Nikolov et al. 2021.
    """

    hd95: float
    hd95_percent: float
    assd: float
    assd_percent: float
    boundary_dice: float


def contour_distances(predicted: Mask, truth: Mask) -> tuple[Distances, Distances]:
    """Compute the distance of each contour pixel to the contour of the other mask.

    Args:
        predicted: HxW bool, not empty.
        truth: HxW bool, not empty.

    Returns:
        Distances in pixels of the predicted contour, and of the true one.
    """
    predicted_edge, truth_edge = get_mask_edges(predicted, truth, crop=False)
    return (
        get_surface_distance(predicted_edge, truth_edge),
        get_surface_distance(truth_edge, predicted_edge),
    )


def surface_scores(predicted: Mask, truth: Mask, tolerance: float = TOLERANCE) -> SurfaceScores:
    """Score the contours of two masks, as MONAI does if both have one.

    Args:
        predicted: HxW bool.
        truth: HxW bool.
        tolerance: Tolerance of the boundary Dice as a share of the image diagonal, sqrt(H^2 + W^2) pixels.

    Raises:
        ValueError, TypeError: As `check_pair`; or the tolerance is below 0 or NaN.
    """
    check_pair(predicted, truth)
    if not tolerance >= 0:
        raise ValueError(f"the tolerance is {tolerance}, but must be a share of 0 or more")
    diagonal = math.hypot(*truth.shape)
    empty = [not predicted.any(), not truth.any()]
    if any(empty):
        hd95 = assd = 0.0 if all(empty) else diagonal  # see metrics.empty
        boundary_dice = float(all(empty))
    else:
        directed = contour_distances(predicted, truth)
        distances = np.concatenate(directed)
        hd95 = max(float(np.percentile(one, 95)) for one in directed)
        assd = float(distances.mean())
        boundary_dice = float((distances <= tolerance * diagonal).mean())
    return SurfaceScores(hd95, 100 * hd95 / diagonal, assd, 100 * assd / diagonal, boundary_dice)
