"""How far a lesion is from its own mirror image."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]

SAME_MOMENTS = 1e-9


@dataclass(frozen=True)
class Asymmetry:
    """Share of the lesion that falls beside it when it is folded over an axis, 0 (symmetric) to 1.

    asymmetry_major: over the long principal axis. asymmetry_minor: over the short one. None where the mask
    is empty.
    """

    asymmetry_major: float | None = None
    asymmetry_minor: float | None = None


def measure_asymmetry(mask: Mask) -> Asymmetry:
    """Return the asymmetry of a mask (HxW bool) about the principal axes through its centroid.

    An axis gives |M - R(M)| / |M|, with R the mirror image on the pixel grid: half of the area where mask
    and mirror image differ (after Stoecker et al. 1992).
    """
    places = np.argwhere(mask).astype(np.float64)
    if not len(places):
        return Asymmetry()
    centre = places.mean(axis=0)
    angle = long_axis(places - centre)
    return Asymmetry(
        _unmatched(mask, places, centre, angle), _unmatched(mask, places, centre, angle + math.pi / 2)
    )


def long_axis(places: npt.NDArray[np.float64]) -> float:
    """Return the angle in radians from the x to the long principal axis of places (Nx2: y, x about 0).

    Where all directions are alike (a disc, a square, one pixel) it is 0: the picture's own axes.
    """
    yy, xx = (places**2).mean(axis=0)
    xy = places.prod(axis=1).mean()
    if math.hypot(xx - yy, 2 * xy) <= SAME_MOMENTS * (xx + yy):
        return 0.0
    return math.atan2(2 * xy, xx - yy) / 2


def _unmatched(
    mask: Mask, places: npt.NDArray[np.float64], centre: npt.NDArray[np.float64], angle: float
) -> float:
    """Return the share of the places (Nx2: y, x) whose mirror image over the axis is no lesion."""
    cosine, sine = math.cos(2 * angle), math.sin(2 * angle)
    mirror = np.array([[-cosine, sine], [sine, cosine]])
    found = np.rint((places - centre) @ mirror + centre).astype(np.intp)
    inside = ((found >= 0) & (found < mask.shape)).all(axis=1)
    matched = np.count_nonzero(mask[tuple(found[inside].T)])
    return float(1 - matched / len(places))
