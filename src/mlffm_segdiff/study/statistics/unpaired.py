"""Scores on two different sets of images, such as the test parts of two splits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import mannwhitneyu

from mlffm_segdiff.metrics.summary import Interval
from mlffm_segdiff.study.statistics.intervals import ROUNDING, Values, bootstrap_ends


@dataclass(frozen=True)
class Unpaired:
    """Scores less others. p: two-sided Mann-Whitney U test. effect: Cliff's delta in [-1, 1]."""

    difference: Interval
    p: float
    effect: float


def compare_unpaired(scores: Values, others: Values, seed: int = 0) -> Unpaired:
    """Compare scores on two sets of images, by scipy.

    difference: of the means, with its 95 % BCa interval; none where a set has one image alone.
    Raises ValueError where a set is empty.
    """
    if not (len(scores) and len(others)):
        raise ValueError("a set of scores is empty")
    difference = float(np.mean(scores) - np.mean(others))
    test = mannwhitneyu(scores, others)
    p = float(test.pvalue) if np.ptp([*scores, *others]) > ROUNDING else 1.0
    return Unpaired(
        _interval(scores, others, difference, seed), p, _delta(float(test.statistic), scores, others)
    )


def _delta(u: float, scores: Values, others: Values) -> float:
    """Return Cliff's delta (1993), P(score > other) - P(score < other), from Mann and Whitney's U."""
    return 2 * u / (len(scores) * len(others)) - 1


def _interval(scores: Values, others: Values, difference: float, seed: int) -> Interval:
    if min(len(scores), len(others)) == 1:
        return Interval(difference, None, None)
    if max(np.ptp(scores), np.ptp(others)) <= ROUNDING:
        return Interval(difference, difference, difference)
    return Interval(difference, *bootstrap_ends((scores, others), _difference, seed))


def _difference(scores: Values, others: Values, axis: int = -1) -> Values:
    found: Values = np.mean(scores, axis=axis) - np.mean(others, axis=axis)
    return found
