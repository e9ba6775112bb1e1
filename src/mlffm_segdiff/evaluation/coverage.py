"""How often the bounds of a calibration hold, and how wide they are, by data set and stratum."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest

from mlffm_segdiff.evaluation.model import ComparedCase
from mlffm_segdiff.evaluation.rows import EvaluatedCase
from mlffm_segdiff.metrics.case_bounds import (
    MASK_INDEX,
    THRESHOLDS,
    TOLERANCE,
    Bounds,
    CheckedCase,
    area_interval,
    check_case,
    dice_interval,
    threshold_at,
)
from mlffm_segdiff.metrics.conformal import covered_cases
from mlffm_segdiff.metrics.intervals import mean_interval
from mlffm_segdiff.metrics.thirds import thirds
from mlffm_segdiff.segmenters.calibration import SetBounds, StyleCalibration

Numbers = npt.NDArray[np.float64]

ALL = "all"
APPLIED = "applied"
"""The bounds that results get: of several data sets, the most conservative."""
SIDES = {"area": 2, "dice": 2, "outer": 1, "inner": 1}
"""Ends of each kind of bound that holds in a share of cases."""
EXPECTED_SHARES = (0.025, 0.975)
"""Quantiles of the coverage of exchangeable cases between which it is expected."""
MIN_IN_STRATA = 30
"""Number of cases from which a data set is divided into strata."""


@dataclass(frozen=True)
class CoverageCase:
    """A case to calibrate on, or to test a calibration with.

    Attributes:
        id: Case id.
        source: Name of its data set.
        checked: Comparison of its nested sets with the ground truth.
    """

    id: str
    source: str
    checked: CheckedCase


@dataclass(frozen=True)
class Coverage:
    """How often one kind of bound held.

    Attributes:
        source: Data set of the cases.
        stratum: ``all``, or a third of the cases by the area of the mask (``small``), by the lesion's area
            (``truly small``), or by contrast.
        calibrated_on: Data set of the calibration; ``applied``: what results get.
        bound: ``area``, ``area, naive``, ``dice``, ``outer``, ``inner``, ``mean outer`` or ``mean inner``.
        level: Nominal coverage.
        cases: Number of cases.
        reached: Share of cases in which it held; of the mean kinds 1 - the mean share of wrong pixels.
        low: Lower end of the exact binomial 95 % interval (Clopper and Pearson 1934) of ``reached``; of the
            mean kinds of the BCa bootstrap interval.
        high: Upper end.
        width: Width of the bound: of an area, the median of (high - low) / area of the mask; of a Dice, the
            median of high - low; of a contour, the area between it and the mask over the mask's, both summed
            over the cases.
        expected_low: Lower end of the range that ``reached`` has in 95 % of draws of calibration and test
            cases, if all are exchangeable (`covered_cases`); None where that is not known.
        expected_high: Upper end; None for a small set, whose bounds are wider than its own cases ask for.
    """

    source: str
    stratum: str
    calibrated_on: str
    bound: str
    level: float
    cases: int
    reached: float
    low: float
    high: float
    width: float
    expected_low: float | None = None
    expected_high: float | None = None


def coverage_case(compared: ComparedCase, evaluated: EvaluatedCase, source: str) -> CoverageCase:
    """Return the calibration case of a segmented case, compared at the size of its ground truth."""
    result = compared.result
    assert result.certainty is not None
    known = (result.certainty, result.contrast, evaluated.source.dice)
    return CoverageCase(evaluated.id, source, check_case(result.probability, compared.truth, *known))


def measure_coverage(cases: Sequence[CoverageCase], calibration: StyleCalibration) -> list[Coverage]:
    """Return the coverage of all bounds of a calibration on the cases of each source and stratum."""
    calibrated: dict[str, Mapping[float, Bounds]] = {APPLIED: calibration.bounds}
    calibrated |= {name: one.levels for name, one in calibration.sets.items()}
    single = calibration.sets[next(iter(calibration.cases))] if len(calibration.cases) == 1 else None
    known = {APPLIED: single, **calibration.sets}
    found = []
    for source in sorted({case.source for case in cases}):
        of_source = [case for case in cases if case.source == source]
        for stratum, chosen in strata(of_source).items():
            checked = [case.checked for case in chosen]
            for name, levels in calibrated.items():
                for level, bounds in levels.items():
                    for bound, (held, width) in _held(checked, level, bounds).items():
                        reached, ends = float(np.mean(held)), _ends(held)
                        key = (source, stratum, name, bound, level, len(held))
                        expected = _expected(key, known[name])
                        found.append(Coverage(*key, reached, *ends, width, *expected))
    return found


def strata(cases: Sequence[CoverageCase]) -> dict[str, list[CoverageCase]]:
    """Return all cases, and their thirds by size and contrast, by name."""
    found = {ALL: list(cases)}
    if len(cases) < MIN_IN_STRATA:
        return found
    kinds: dict[tuple[str, str, str], Callable[[CoverageCase], float]] = {
        ("small", "medium", "large"): lambda case: case.checked.share,
        ("truly small", "truly medium", "truly large"): lambda case: case.checked.true_share,
        ("low contrast", "medium contrast", "high contrast"): lambda case: case.checked.contrast,
    }
    for names, value in kinds.items():
        places = thirds(np.array([value(case) for case in cases]))
        for number, name in enumerate(names):
            found[name] = [case for case, place in zip(cases, places, strict=True) if place == number]
    return {name: chosen for name, chosen in found.items() if chosen}


def coverage_summary(found: Sequence[Coverage]) -> dict[str, dict[str, dict[str, float]]]:
    """Return the coverage of the applied bounds on all cases by source, bound and level, for summary.json."""
    summary: dict[str, dict[str, dict[str, float]]] = {}
    for one in found:
        if (one.stratum, one.calibrated_on) == (ALL, APPLIED):
            summary.setdefault(one.source, {}).setdefault(one.bound, {})[f"{one.level:g}"] = one.reached
    return summary


def _expected(
    key: tuple[str, str, str, str, float, int], calibrated: SetBounds | None
) -> tuple[float | None, float | None]:
    """Return the range of the coverage on all cases by the bounds of a set, as far as it is known."""
    _, stratum, _, bound, level, tested = key
    if calibrated is None or stratum != ALL or bound not in SIDES or level not in calibrated.guaranteed:
        return None, None
    covered = covered_cases(calibrated.cases, tested, level, SIDES[bound])
    low, high = (float(covered.ppf(share)) / tested for share in EXPECTED_SHARES)
    return low, None if calibrated.lenders else high


def _held(cases: Sequence[CheckedCase], level: float, bounds: Bounds) -> dict[str, tuple[Numbers, float]]:
    """Return for each kind of bound in which cases it held (of the mean kinds, how far), and its width."""
    shares = np.array([case.share for case in cases])
    true_shares = np.array([case.true_share for case in cases])
    known = [(case.share, case.certainty, case.contrast) for case in cases]
    areas = np.array([area_interval(*one, bounds) for one in known])
    sets = np.array([case.set_share for case in cases])
    naive = np.array([_area_between(case, (1 + level) / 2, (1 - level) / 2) for case in cases])
    dices = np.array([dice_interval(case.certainty, bounds) for case in cases])
    found = {
        "area": _interval(true_shares, areas, shares),
        "area, naive": _interval(true_shares, naive, shares),
        "dice": _interval(np.array([case.dice for case in cases]), dices, np.ones(len(cases))),
    }
    for side in ("outer", "inner"):
        losses = np.array([getattr(case, f"{side}_loss") for case in cases])
        for name in (side, f"mean_{side}"):
            place = int(np.searchsorted(THRESHOLDS, getattr(bounds, name)))
            loss = losses[:, place]
            held = (loss <= TOLERANCE).astype(np.float64) if name == side else 1 - loss
            band = np.abs(sets[:, place] - sets[:, MASK_INDEX]).sum() / max(shares.sum(), 1e-9)
            found[name.replace("_", " ")] = held, float(band)
    return found


def _area_between(case: CheckedCase, *probabilities: float) -> Numbers:
    """Return the areas of the level sets of these probabilities."""
    thresholds = [threshold_at(one, case.contrast) for one in THRESHOLDS]
    shares: Numbers = case.set_share[np.searchsorted(thresholds, probabilities)]
    return shares


def _interval(true: Numbers, ends: Numbers, unit: Numbers) -> tuple[Numbers, float]:
    held = ((ends[:, 0] <= true) & (true <= ends[:, 1])).astype(np.float64)
    known = unit > 0
    width = np.median((ends[known, 1] - ends[known, 0]) / unit[known]) if known.any() else math.nan
    return held, float(width)


def _ends(held: Numbers) -> tuple[float, float]:
    """Return the ends of the 95 % interval of the mean: exact for 0 and 1, otherwise by bootstrap."""
    if np.isin(held, (0, 1)).all():
        exact = binomtest(int(held.sum()), len(held)).proportion_ci(method="exact")
        return float(exact.low), float(exact.high)
    interval = mean_interval(held)
    low, high = interval.low, interval.high
    return interval.mean if low is None else low, interval.mean if high is None else high
