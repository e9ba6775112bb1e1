"""Two models on the same images: interval of the difference, Wilcoxon's test, effect size; Holm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata, wilcoxon
from statsmodels.stats.multitest import multipletests

from mlffm_segdiff.metrics.summary import Interval
from mlffm_segdiff.study.statistics.intervals import ROUNDING, Values, bca_interval

LEVEL = 0.05


@dataclass(frozen=True)
class Paired:
    """A model's scores less another's on the same images.

    difference: mean with its 95 % BCa interval. p: two-sided, of `wilcoxon_p`. effect: of `rank_biserial`.
    """

    images: int
    difference: Interval
    p: float
    effect: float


def compare_paired(scores: Values, others: Values, seed: int = 0) -> Paired:
    """Compare one score an image of a model with another's on the same images, in the same order.

    Scores of several seeds are averaged before they come here: the images are the units, not the runs.
    Raises ValueError for no images or lengths that differ.
    """
    if len(scores) != len(others):
        raise ValueError(f"{len(scores)} scores cannot be paired with {len(others)}")
    differences = np.subtract(scores, others, dtype=np.float64)
    return Paired(
        len(differences),
        bca_interval(differences, seed),
        wilcoxon_p(differences),
        rank_biserial(differences),
    )


def wilcoxon_p(differences: Values) -> float:
    """Return the two-sided p-value of Wilcoxon's signed-rank test with Pratt's zeros (Pratt 1959), by scipy.

    Zeros are ranked with the rest and then left out. The distribution is exact for up to 50 differences,
    or with ties or zeros up to 13, else normal. 1 where all differences are zero.
    """
    kept = _without_rounding(differences)
    if not kept.any():
        return 1.0
    return float(wilcoxon(kept, zero_method="pratt").pvalue)


def rank_biserial(differences: Values) -> float:
    """Return the matched-pairs rank-biserial correlation in [-1, 1] with Pratt's zeros (after Kerby 2014).

    (R+ - R-) / (n (n + 1) / 2): |d| of all n pairs is ranked, zeros too; R+ and R- sum the ranks of positive
    and negative differences. Zeros count for neither side, yet for the whole. 1: every image is better; 0:
    the evidence is balanced, or there is none.
    """
    kept = _without_rounding(differences)
    ranks = rankdata(np.abs(kept))
    return float((np.sign(kept) * ranks).sum() / ranks.sum()) if len(kept) else 0.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values with Holm's correction (1979) for all that are given, by statsmodels."""
    if not len(p_values):
        return []
    return [float(p) for p in multipletests(p_values, alpha=LEVEL, method="holm")[1]]


def _without_rounding(differences: Values) -> Values:
    """Return the differences, with 0 for what rounding alone made."""
    return np.where(np.abs(differences) <= ROUNDING, 0.0, differences)
