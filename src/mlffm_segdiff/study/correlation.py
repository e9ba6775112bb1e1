"""Rank correlation of a property of the images with their scores."""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from scipy.stats import spearmanr

from mlffm_segdiff.metrics.intervals import CONFIDENCE, TIE_TOLERANCE, Values


@dataclass(frozen=True)
class Correlation:
    """Spearman's rank correlation.

    Attributes:
        images: Number of images.
        rho: The correlation, -1 to 1; NaN if all values of one side are equal.
        low: Lower end of its 95 % interval.
        high: Upper end.
        p: Two-sided p-value, not corrected; 1 if there is no correlation to compute.
    """

    images: int
    rho: float
    low: float
    high: float
    p: float


def rank_correlation(values: Values, scores: Values) -> Correlation:
    """Compute Spearman's rank correlation with scipy, and its interval.

    The interval uses Fisher's z with the variance (1 + rho^2 / 2) / (N - 3) of Bonett and Wright (2000).

    Args:
        values: One value per image, N.
        scores: Scores, or differences of scores, in the same order, N.

    Returns:
        The correlation.

    Raises:
        ValueError: For different numbers of values and scores, or fewer than four.
    """
    if len(values) != len(scores) or len(values) < 4:
        raise ValueError(f"{len(values)} values and {len(scores)} scores; at least four pairs are needed")
    if min(np.ptp(values), np.ptp(scores)) <= TIE_TOLERANCE:
        return Correlation(len(values), math.nan, math.nan, math.nan, 1.0)
    found = spearmanr(values, scores)
    rho = float(found.statistic)
    middle = math.atanh(min(max(rho, -1 + 1e-12), 1 - 1e-12))
    width = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * math.sqrt((1 + rho**2 / 2) / (len(values) - 3))
    return Correlation(
        len(values), rho, math.tanh(middle - width), math.tanh(middle + width), float(found.pvalue)
    )
