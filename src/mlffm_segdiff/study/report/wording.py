"""How the report words numbers and comparisons."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import stdev
from typing import Literal

import pandas as pd

from mlffm_segdiff.study.differences import LEVEL, Difference


def number(value: float | None, digits: int = 4, sign: Literal["", "+"] = "") -> str:
    """Format a number, or a dash for None and NaN."""
    return "-" if value is None or math.isnan(value) else f"{value:{sign}.{digits}f}"


def signed(value: float | None, digits: int = 4) -> str:
    """Format a number with its sign, or a dash for None and NaN."""
    return number(value, digits, "+")


def over_seeds(values: pd.Series, digits: int = 4) -> str:
    """Format the mean over seeds with the sample standard deviation; of one seed, the value."""
    mean = number(values.mean(), digits)
    return f"{mean} ± {number(values.std(), digits)}" if len(values) > 1 else mean


def counted(count: int, noun: str) -> str:
    """Format a count with its noun in the singular or plural."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def p_value(p: float) -> str:
    """Format a p-value with three decimals, or as below 0.001; a dash for NaN.

    One that would be rounded up to the significance level has more decimals.
    """
    digits = 3
    while p < LEVEL <= round(p, digits):
        digits += 1
    return "< 0.001" if p < 0.001 else number(p, digits)


def verdict(
    result: Difference, corrected: float, by_seed: Sequence[float], higher_is_better: bool = True
) -> str:
    """Return a sentence on what a comparison shows.

    A difference whose sign changes between runs, or that is not larger than their standard deviation, may be
    due to chance in training, which the sentence states.

    Args:
        result: Comparison of the images' scores, averaged over seeds.
        corrected: Its p-value after Holm's correction.
        by_seed: Mean difference of each seed.
        higher_is_better: Whether a positive difference is an improvement.
    """
    if corrected >= LEVEL:
        return "no significant difference"
    sign = 1 if higher_is_better else -1
    mean, effect = sign * result.interval.mean, sign * result.effect
    if mean * effect <= 0:
        return "significant, but mean and ranks point in opposite directions"
    word = "better" if mean > 0 else "worse"
    if len(by_seed) < 2:
        return f"{word} (one run only)"
    agreeing = sum(sign * value * mean > 0 for value in by_seed)
    if agreeing < len(by_seed):
        return f"{word} on average, but in {agreeing} of {len(by_seed)} runs only"
    return f"{word}, but within the spread of runs" if stdev(by_seed) >= abs(mean) else word
