"""How far a lesion is from its own mirror image."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlffm_segdiff.metrics.overlap import Mask

SAME_MOMENTS = 1e-9


@dataclass(frozen=True)
class Asymmetry:
    """Share of the lesion that does not overlap its mirror image over an axis, 0 (symmetric) to 1.

    Attributes:
        asymmetry_major: Over the long principal axis; None for an empty mask.
        asymmetry_minor: Over the short principal axis; None for an empty mask.
    """

    asymmetry_major: float | None = None
    asymmetry_minor: float | None = None


def measure_asymmetry(mask: Mask) -> Asymmetry:
    """Return the asymmetry of a mask (HxW bool) about the principal axes through its centroid.

    An axis gives |M - R(M)| / |M|, with R the mirror image on the pixel grid: half of the area where mask
    and mirror image differ (after Stoecker et al. 1992).
    """
    points = np.argwhere(mask).astype(np.float64)
    if not len(points):
        return Asymmetry()
    centre = points.mean(axis=0)
    angle = long_axis(points - centre)
    return Asymmetry(
        _unmatched(mask, points, centre, angle), _unmatched(mask, points, centre, angle + math.pi / 2)
    )


def long_axis(points: npt.NDArray[np.float64]) -> float:
    """Return the angle in radians from the x axis to the long principal axis of points (Nx2: y, x about 0).

    It is 0, the image's own axes, if all directions are equal (a disc, a square, one pixel).
    """
    yy, xx = (points**2).mean(axis=0)
    xy = points.prod(axis=1).mean()
    if math.hypot(xx - yy, 2 * xy) <= SAME_MOMENTS * (xx + yy):
        return 0.0
    return math.atan2(2 * xy, xx - yy) / 2


def _unmatched(
    mask: Mask, points: npt.NDArray[np.float64], centre: npt.NDArray[np.float64], angle: float
) -> float:
    """Return the share of the points (Nx2: y, x) whose mirror image over the axis is not lesion."""
    cosine, sine = math.cos(2 * angle), math.sin(2 * angle)
    mirror = np.array([[-cosine, sine], [sine, cosine]])
    found = np.rint((points - centre) @ mirror + centre).astype(np.intp)
    inside = ((found >= 0) & (found < mask.shape)).all(axis=1)
    matched = np.count_nonzero(mask[tuple(found[inside].T)])
    return float(1 - matched / len(points))
