"""Rank correlation of a property of the images with their scores."""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata, t

from mlffm_segdiff.metrics.intervals import CONFIDENCE, TIE_DIGITS, TIE_TOLERANCE


@dataclass(frozen=True)
class Correlation:
    """Spearman's rank correlation.

    Attributes:
        images: Number of images.
        rho: The correlation, -1 to 1; NaN, like the others, for too few images, if all values of one side
            are equal, or if the controls determine one side.
        low: Lower end of its 95 % interval.
        high: Upper end.
        p: Two-sided p-value, not corrected.
    """

    images: int
    rho: float
    low: float
    high: float
    p: float


def rank_correlation(
    values: npt.ArrayLike, scores: npt.ArrayLike, controls: npt.ArrayLike | None = None
) -> Correlation:
    """Compute Spearman's rank correlation, or with controls the partial one, and its interval.

    The partial correlation is that of the residuals of both ranks in a linear regression on the ranks of the
    controls. p is from the t distribution with N - 2 - K degrees of freedom. The interval uses Fisher's z
    with the variance (1 + rho^2 / 2) / (N - 3) of Bonett and Wright (2000), with N - K in place of N.

    Args:
        values: One value per image, N.
        scores: Scores, or differences of scores, in the same order, N.
        controls: Values of K other properties, NxK.

    Returns:
        The correlation, NaN for fewer than 4 + K images.
    """
    sides = np.column_stack([values, scores])
    count = len(sides)
    others = np.empty((count, 0)) if controls is None else np.asarray(controls)
    free = count - 3 - others.shape[1]
    if free < 1:
        return Correlation(count, math.nan, math.nan, math.nan, math.nan)
    design = np.column_stack([np.ones(count), rankdata(np.round(others, TIE_DIGITS), axis=0)])
    ranks = rankdata(np.round(sides, TIE_DIGITS), axis=0)
    residuals = ranks - design @ np.linalg.lstsq(design, ranks, rcond=None)[0]
    norms = np.linalg.norm(residuals, axis=0)
    if norms.min() <= TIE_TOLERANCE * count:
        return Correlation(count, math.nan, math.nan, math.nan, math.nan)
    rho = float(np.clip(residuals[:, 0] @ residuals[:, 1] / norms.prod(), -1 + 1e-12, 1 - 1e-12))
    p = 2 * float(t.sf(abs(rho) * math.sqrt((free + 1) / (1 - rho**2)), free + 1))
    width = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * math.sqrt((1 + rho**2 / 2) / free)
    low, high = (math.tanh(math.atanh(rho) + side * width) for side in (-1, 1))
    return Correlation(count, rho, low, high, p)
