"""Bootstrap intervals of means: the only bootstrap of the project."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.stats import bootstrap

Values = npt.NDArray[np.float64]

CONFIDENCE = 0.95
RESAMPLES = 9999
RESAMPLES_AT_ONCE = 1000
"""Bounds the memory of large samples."""
TIE_DIGITS = 9
TIE_TOLERANCE = 10.0**-TIE_DIGITS
"""Scores closer than this are equal: they differ only by the order of a summation."""


@dataclass(frozen=True)
class Interval:
    """A mean and the ends of its 95 % bootstrap interval; the ends are None for a single value."""

    mean: float
    low: float | None
    high: float | None

    def ends(self, digits: int = 4, sign: Literal["", "+"] = "") -> str:
        """Format the ends, with their sign for a difference; say so if there are none."""
        if self.low is None or self.high is None:
            return "one image"
        return f"{self.low:{sign}.{digits}f} to {self.high:{sign}.{digits}f}"


def mean_interval(values: Sequence[float] | Values, seed: int = 0) -> Interval:
    """Compute a mean and its 95 % BCa bootstrap interval (Efron 1987) with scipy.

    Args:
        values: One score per image, N.
        seed: Seed of the resampling. The same values and seed always give the same interval.

    Returns:
        The interval. Equal values give an interval of zero width. In other cases where BCa is undefined, the
        ends are those of the percentile method.

    Raises:
        ValueError: For no values.
    """
    sample = np.asarray(values, dtype=np.float64)
    if not len(sample):
        raise ValueError("no values to take the mean of")
    return _interval((sample,), np.mean, seed)


def mean_difference_interval(scores: Values, others: Values, seed: int = 0) -> Interval:
    """Compute the difference of two independent means and its 95 % BCa bootstrap interval.

    Args:
        scores: One score per image of the first set, N.
        others: One score per image of the second set, M.
        seed: Seed of the resampling.

    Returns:
        The mean of ``scores`` minus the mean of ``others``, with its interval as in `mean_interval`.
    """
    return _interval((scores, others), _mean_difference, seed)


def _mean_difference(scores: Values, others: Values, axis: int | None = None) -> Values:
    return np.asarray(np.mean(scores, axis=axis) - np.mean(others, axis=axis))


def _interval(samples: tuple[Values, ...], statistic: Callable[..., Any], seed: int) -> Interval:
    estimate = float(statistic(*samples))
    if min(map(len, samples)) == 1:
        return Interval(estimate, None, None)
    if max(np.ptp(sample) for sample in samples) <= TIE_TOLERANCE:
        return Interval(estimate, estimate, estimate)
    methods: tuple[Literal["BCa", "percentile"], ...] = ("BCa", "percentile")
    for method in methods:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # where BCa is undefined, its ends are NaN
            ends = bootstrap(
                samples,
                statistic,
                confidence_level=CONFIDENCE,
                n_resamples=RESAMPLES,
                batch=RESAMPLES_AT_ONCE,
                method=method,
                rng=np.random.default_rng(seed),
            ).confidence_interval
        if np.isfinite([ends.low, ends.high]).all():
            break
    return Interval(estimate, float(ends.low), float(ends.high))
