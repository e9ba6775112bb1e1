"""Differences between two models: interval, test and effect size, on the same or on different images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import mannwhitneyu, rankdata, wilcoxon
from statsmodels.stats.multitest import multipletests

from mlffm_segdiff.metrics.intervals import (
    TIE_DIGITS,
    TIE_TOLERANCE,
    Interval,
    Values,
    mean_difference_interval,
    mean_interval,
)

LEVEL = 0.05
"""Significance level of every test of a study."""
MIN_PAIRS = 6
"""With fewer pairs, Wilcoxon's two-sided p is at least 2 / 2^5 = 0.0625, whatever the scores."""


@dataclass(frozen=True)
class Difference:
    """The scores of one model minus those of another.

    Attributes:
        images: Number of images, of the first model where the two sets differ.
        interval: Mean difference with its 95 % BCa interval.
        p: Two-sided p-value, not corrected.
        effect: Effect size in [-1, 1]: rank-biserial correlation (paired) or Cliff's delta (unpaired).
    """

    images: int
    interval: Interval
    p: float
    effect: float


def compare_paired(scores: Values, others: Values, seed: int = 0) -> Difference:
    """Compare two models on the same images.

    Average the scores of several seeds first: the images are the units of the test, not the runs.

    Args:
        scores: One score per image, N.
        others: Scores of the other model in the same order, N.
        seed: Seed of the bootstrap.

    Returns:
        The difference, with the p-value of `wilcoxon_p` and the effect of `rank_biserial`.

    Raises:
        ValueError: For no images, or for different numbers of them.
    """
    if len(scores) != len(others):
        raise ValueError(f"{len(scores)} scores cannot be paired with {len(others)}")
    differences = np.subtract(scores, others, dtype=np.float64)
    interval = mean_interval(differences, seed)
    return Difference(len(differences), interval, wilcoxon_p(differences), rank_biserial(differences))


def compare_unpaired(scores: Values, others: Values, seed: int = 0) -> Difference:
    """Compare scores on two different sets of images, such as the test parts of two splits.

    Args:
        scores: One score per image of the first set, N.
        others: One score per image of the second set, M.
        seed: Seed of the bootstrap.

    Returns:
        The difference, with the p-value of the Mann-Whitney U test and Cliff's delta (1993),
        P(score > other) - P(score < other).

    Raises:
        ValueError: If a set is empty.
    """
    if not (len(scores) and len(others)):
        raise ValueError("a set of scores is empty")
    test = mannwhitneyu(np.round(scores, TIE_DIGITS), np.round(others, TIE_DIGITS))
    p = float(test.pvalue) if np.ptp([*scores, *others]) > TIE_TOLERANCE else 1.0
    delta = 2 * float(test.statistic) / (len(scores) * len(others)) - 1
    return Difference(len(scores), mean_difference_interval(scores, others, seed), p, delta)


def wilcoxon_p(differences: Values) -> float:
    """Return the two-sided p-value of Wilcoxon's signed-rank test with Pratt's zeros (Pratt 1959), by scipy.

    Zeros are ranked with the other differences and then dropped. The distribution is exact for up to 50
    differences (with ties or zeros up to 13), otherwise normal. The value is 1 if all differences are zero.
    """
    kept = _with_exact_ties(differences)
    return float(wilcoxon(kept, zero_method="pratt").pvalue) if kept.any() else 1.0


def rank_biserial(differences: Values) -> float:
    """Return the matched-pairs rank-biserial correlation in [-1, 1] with Pratt's zeros (after Kerby 2014).

    (R+ - R-) / (n (n + 1) / 2): |d| of all n pairs is ranked, zeros included; R+ and R- sum the ranks of the
    positive and negative differences. At 1 every image is better; at 0 the evidence is balanced or absent.
    """
    kept = _with_exact_ties(differences)
    ranks = rankdata(np.abs(kept))
    return float((np.sign(kept) * ranks).sum() / ranks.sum()) if len(kept) else 0.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values after Holm's correction (1979), by statsmodels; NaN stays NaN and is not counted."""
    corrected = np.array(p_values, dtype=np.float64)
    tests = ~np.isnan(corrected)
    if tests.any():
        corrected[tests] = multipletests(corrected[tests], alpha=LEVEL, method="holm")[1]
    return [float(p) for p in corrected]


def _with_exact_ties(differences: Values) -> Values:
    """Round away the noise of subtraction, so that equal differences have equal ranks."""
    return np.round(differences, TIE_DIGITS)
