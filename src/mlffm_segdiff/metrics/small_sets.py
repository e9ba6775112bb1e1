"""Bounds from few calibration cases, with the shape of the scores of larger data sets.

Limits from 20 cases hold at their level on average over many such calibrations, but those of one calibration
may hold for 75 % or for 99 % of new cases. Here the few cases say where the scores of their data set are and
how much they scatter; larger data sets say how far from this a new score may be. docs/INTERVALS.md compares
this with other rules.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from mlffm_segdiff.metrics.case_bounds import (
    Bounds,
    CheckedCase,
    bound_scores,
    bounds_of,
    fit_bounds,
    most_conservative,
    share_within,
)

Numbers = npt.NDArray[np.float64]

PRIOR_CASES = 20
"""Number of cases that the variance of larger data sets counts as, where that of the few cases is smaller."""
DRAWS = 1500
"""Number of simulated small sets."""
NEW_CASES = 25
"""Number of new cases of each."""


@dataclass(frozen=True)
class LargerSet:
    """A larger data set, which lends the shape of its scores.

    Attributes:
        scores: Scores of its calibration cases by name of the bound, see `bound_scores`.
        bounds: Bounds calibrated on its own cases, by level.
    """

    scores: Mapping[str, Numbers]
    bounds: Mapping[float, Bounds]
    _distances: dict[tuple[str, int], Numbers] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @classmethod
    def calibrated_on(cls, cases: Sequence[CheckedCase], levels: Sequence[float]) -> Self:
        """Calibrate a data set with enough cases for these levels."""
        fitted = {level: fit_bounds(cases, level) for level in levels}
        return cls(bound_scores(cases), {level: one for level, one in fitted.items() if one is not None})

    def distances(self, name: str, count: int) -> Numbers:
        """Return how far scores are from the mean of ``count`` others, in their standard deviations, sorted.

        The others are drawn at random from this set. For normal scores this is Student's distribution, wider
        by the factor sqrt(1 + 1 / count) of a prediction.
        """
        if (name, count) not in self._distances:
            drawn = np.tile(self.scores[name], (DRAWS, 1))
            np.random.default_rng(0).permuted(drawn, axis=1, out=drawn)
            few, new = drawn[:, :count], drawn[:, count : count + NEW_CASES]
            spread = np.maximum(few.std(axis=1, ddof=1, keepdims=True), 1e-6)
            self._distances[name, count] = np.sort(
                (new - few.mean(axis=1, keepdims=True)) / spread, axis=None
            )
        return self._distances[name, count]


def borrowed_limits(
    scores: Mapping[str, Numbers],
    larger: Sequence[LargerSet],
    level: float,
    prior_cases: float = PRIOR_CASES,
) -> dict[str, float]:
    """Compute limits that the scores of a new case reach with about the probability of the level.

    The limit is m + s d. m is the mean of the few scores; s is their standard deviation, or, if it is larger,
    the root of the average of their variance and that of the larger sets (weights: number of cases - 1 and
    ``prior_cases``); d is the largest quantile of `LargerSet.distances`. With s their standard deviation, the
    probability is exactly that of the level if the scores have the shape of those of a larger set, at
    any location and scale, because the distribution of the distances does not depend on these.

    Args:
        scores: Scores of the few cases by name of the bound, see `bound_scores`.
        larger: Data sets with more cases than these.
        level: Coverage, in (0, 1).
        prior_cases: Weight of the variance of the larger sets, as a number of cases; 0 always takes the
            standard deviation of the few scores.

    Returns:
        Limits by name.
    """
    limits = {}
    for name, few in scores.items():
        variance, own = float(few.var(ddof=1)), len(few) - 1
        others = float(np.mean([one.scores[name].var(ddof=1) for one in larger]))
        averaged = (own * variance + prior_cases * others) / (own + prior_cases)
        drawn = [one.distances(name, len(few)) for one in larger]
        furthest = max(one[math.ceil(share_within(name, level) * (len(one) - 1))] for one in drawn)
        limits[name] = float(few.mean() + math.sqrt(max(variance, averaged)) * furthest)
    return limits


def fit_few_bounds(cases: Sequence[CheckedCase], larger: Sequence[LargerSet], level: float) -> Bounds:
    """Choose bounds for a small data set: the wider of its own and of those with a borrowed shape.

    Where it has enough cases for `fit_bounds`, their guarantee remains, as no bound is tighter. For fewer
    cases there is no guarantee; the level is then reached as far as the larger sets have the same shape of
    scores, and bounds on the mean share of wrong pixels are the widest of the larger sets.

    Args:
        cases: Calibration cases of the small set, at least 2.
        larger: Larger data sets, at least one.
        level: Coverage, in (0, 1); one that the larger sets are calibrated for.
    """
    own = fit_bounds(cases, level)
    known = own or most_conservative([one.bounds[level] for one in larger])
    limits = borrowed_limits(bound_scores(cases), larger, level) | {"mean_inner": 0, "mean_outer": 0}
    borrowed = replace(bounds_of(limits), mean_inner=known.mean_inner, mean_outer=known.mean_outer)
    return most_conservative([own, borrowed]) if own else borrowed
