"""Numbers as the report words them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import stdev
from typing import Literal

from mlffm_segdiff.metrics.summary import Interval
from mlffm_segdiff.study.statistics.intervals import Spread
from mlffm_segdiff.study.statistics.paired import LEVEL, Paired

NOTHING = "-"


def number(value: float | None, digits: int = 4) -> str:
    """Return a number with so many decimals, or a dash for none."""
    return NOTHING if value is None or math.isnan(value) else f"{value:.{digits}f}"


def signed(value: float | None, digits: int = 4) -> str:
    """Return a number with its sign, or a dash for none."""
    return NOTHING if value is None or math.isnan(value) else f"{value:+.{digits}f}"


def ends(interval: Interval, sign: Literal["", "+"] = "") -> str:
    """Return an interval's ends. sign: "+" shows it, as for a difference."""
    if interval.low is None or interval.high is None:
        return "one image"
    return f"{interval.low:{sign}.4f} to {interval.high:{sign}.4f}"


def spread(found: Spread, digits: int = 4) -> str:
    """Return a mean over seeds with its standard deviation."""
    return f"{number(found.mean, digits)} ± {number(found.sd, digits)}"


def counted(count: int, noun: str) -> str:
    """Return the count with its noun in the singular or plural."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def p_value(p: float) -> str:
    """Return a p-value with three decimals, or that it is below 0.001."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def verdict(result: Paired, corrected: float, by_seed: Sequence[float], higher_is_better: bool = True) -> str:
    """Return what a comparison says, in words.

    result: of the images' scores, averaged over seeds. corrected: its p-value after Holm. by_seed: the mean
    difference of each seed. One that is not of one sign in all seeds, or no larger than their standard
    deviation, may be luck of the training, and the words say so.
    """
    if corrected >= LEVEL:
        return "no significant difference"
    sign = 1 if higher_is_better else -1
    mean, effect = sign * result.difference.mean, sign * result.effect
    if mean * effect <= 0:
        return "significant, but mean and ranks point in opposite directions"
    word = "better" if mean > 0 else "worse"
    if len(by_seed) < 2:
        return f"{word} (one seed only)"
    agreeing = sum(sign * value * mean > 0 for value in by_seed)
    if agreeing < len(by_seed):
        return f"{word} on average, but in {agreeing} of {len(by_seed)} seeds only"
    return f"{word}, but within the spread of seeds" if stdev(by_seed) >= abs(mean) else word
