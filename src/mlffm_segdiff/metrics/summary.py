"""Summary of many cases: per-image means with intervals, and scores of pooled pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import bootstrap

from mlffm_segdiff.metrics.case_scores import SCORE_NAMES, CaseScores
from mlffm_segdiff.metrics.overlap import POOLED_SCORES, total

CONFIDENCE = 0.95
RESAMPLES = 9999
RESAMPLES_AT_ONCE = 1000


@dataclass(frozen=True)
class Interval:
    """A mean and the ends of its 95 % bootstrap interval; no ends where one value alone was given."""

    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Summary:
    """Summary of many cases.

    Attributes:
        cases: Number of cases.
        per_image: Mean over cases of each score of `CaseScores`; each image has the same weight.
        pooled: Scores of the counts summed over all cases; each pixel has the same weight, so large lesions
            count more.
    """

    cases: int
    per_image: Mapping[str, Interval]
    pooled: Mapping[str, float]


def mean_interval(values: Sequence[float], seed: int = 0) -> Interval:
    """Return the mean of the values and its 95 % percentile bootstrap interval (Efron 1979).

    The interval depends on the values and the seed alone. Percentiles rather than BCa, which is undefined
    where all values are equal. Raises ValueError for no values.
    """
    if not values:
        raise ValueError("no values to take the mean of")
    sample = np.asarray(values, dtype=np.float64)
    if len(sample) == 1:
        return Interval(float(sample[0]), None, None)
    ends = bootstrap(
        (sample,),
        np.mean,
        confidence_level=CONFIDENCE,
        n_resamples=RESAMPLES,
        batch=RESAMPLES_AT_ONCE,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Interval(float(sample.mean()), float(ends.low), float(ends.high))


def summarise(scores: Sequence[CaseScores], seed: int = 0) -> Summary:
    """Summarise cases. Raises ValueError if there are none."""
    pooled = total(case.counts for case in scores)
    return Summary(
        cases=len(scores),
        per_image={
            name: mean_interval([getattr(case, name) for case in scores], seed) for name in SCORE_NAMES
        },
        pooled={name: score(pooled) for name, score in POOLED_SCORES.items()},
    )
