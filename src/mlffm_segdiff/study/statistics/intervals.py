"""Means with their BCa bootstrap interval, and the spread over seeds."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.stats import bootstrap

from mlffm_segdiff.metrics.summary import CONFIDENCE, RESAMPLES, RESAMPLES_AT_ONCE, Interval

Values = npt.NDArray[np.float64]

ROUNDING = 1e-9
"""What two equal scores may differ by once they were added up in another order."""


@dataclass(frozen=True)
class Spread:
    """One number a seed in two: mean, and standard deviation (n - 1) or None for a single seed."""

    mean: float
    sd: float | None


def seed_spread(values: Sequence[float]) -> Spread:
    """Return mean and standard deviation over seeds. Raises ValueError for no values."""
    if not len(values):
        raise ValueError("no seed to take the spread over")
    sample = np.asarray(values, dtype=np.float64)
    return Spread(float(sample.mean()), float(sample.std(ddof=1)) if len(sample) > 1 else None)


def bca_interval(values: Sequence[float] | Values, seed: int = 0) -> Interval:
    """Return the mean of the values and its 95 % BCa bootstrap interval (Efron 1987), by scipy.

    The interval depends on the values and the seed alone. Equal values give an interval of that one value;
    a single value has no interval. Where BCa is undefined otherwise, the ends are the percentile method's.
    Raises ValueError for no values.
    """
    sample = np.asarray(values, dtype=np.float64)
    if not len(sample):
        raise ValueError("no values to take the mean of")
    mean = float(sample.mean())
    if len(sample) == 1:
        return Interval(mean, None, None)
    if np.ptp(sample) <= ROUNDING:
        return Interval(mean, mean, mean)
    return Interval(mean, *bootstrap_ends((sample,), _mean, seed))


def bootstrap_ends(
    samples: tuple[Values, ...], statistic: Callable[..., Values], seed: int
) -> tuple[float, float]:
    """Return the ends of the 95 % BCa interval of a statistic of samples that are not all constant.

    statistic: as scipy's bootstrap takes it, with ``axis``. Percentiles where BCa is undefined.
    """
    methods: tuple[Literal["BCa", "percentile"], ...] = ("BCa", "percentile")
    for method in methods:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # DegenerateDataWarning among them; ends are NaN
            ends = bootstrap(
                samples,
                statistic,
                confidence_level=CONFIDENCE,
                n_resamples=RESAMPLES,
                batch=RESAMPLES_AT_ONCE,
                method=method,
                rng=np.random.default_rng(seed),
            ).confidence_interval
        low, high = float(ends.low), float(ends.high)
        if np.isfinite([low, high]).all():
            break
    return low, high


def _mean(sample: Values, axis: int = -1) -> Values:
    found: Values = np.mean(sample, axis=axis)
    return found
