"""How well rules for small data sets hold: small sets are drawn from the validation images of large ones.

    OMP_NUM_THREADS=1 python tools/small_set_coverage.py --source isic2018=PATH --source ham10000=PATH

Writes docs/intervals/small_sets.csv, which tools/interval_page.py shows in docs/INTERVALS.md. Each data set
is segmented in its own style. 100 times, a number of its cases calibrate each rule, and up to 500 others test
it. The other data set is the larger one. The quarters of a set with the lowest and the highest contrast stand
for data sets that are unlike the larger ones; for these, the rest of the set is a larger one, too.
"""

import argparse
import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from mlffm_segdiff.cli.common import choose_data
from mlffm_segdiff.data.sources import load_split_cases, open_split
from mlffm_segdiff.evaluation.coverage import coverage_case
from mlffm_segdiff.evaluation.model import evaluate_case, segment_cases
from mlffm_segdiff.metrics.case_bounds import (
    LEVELS,
    MASK_INDEX,
    THRESHOLDS,
    Bounds,
    CheckedCase,
    area_interval,
    bound_scores,
    bounds_of,
    dice_interval,
    fit_bounds,
    most_conservative,
)
from mlffm_segdiff.metrics.small_sets import LargerSet, borrowed_limits, fit_few_bounds
from mlffm_segdiff.segmenters.pretrained import load_pretrained
from mlffm_segdiff.segmenters.sampling import chosen_sampling

Numbers = npt.NDArray[np.float64]
Cases = Sequence[CheckedCase]
Rule = Callable[[Cases, Sequence[LargerSet], float], Bounds | None]

CSV = Path(__file__).parent.parent / "docs" / "intervals" / "small_sets.csv"
BATCH = 8
DRAWS = 100
TESTED = 500
MEASURED = 20
"""Number of test cases whose intervals and contours are measured."""
SIZES = (10, 20, 40)
FEWEST_IN_QUARTER = 200
SHORT = 0.05
"""Below its level by more than this, the coverage of a calibration counts as short."""
NO_MEANS = {"mean_inner": 0, "mean_outer": 0}


@dataclass(frozen=True)
class SmallSets:
    """Small sets drawn from a population, by one rule at one level.

    Attributes:
        population: What they are drawn from.
        cases: Number of calibration cases.
        rule: How bounds are chosen, see `RULES`.
        level: Nominal coverage.
        bound: ``area``, ``dice``, ``outer`` or ``inner``.
        mean: Mean coverage over the small sets.
        deviation: Standard deviation of the coverage.
        short: Share of small sets with a coverage below the level by more than 5 points.
        width: Mean width of the bound, as in `Coverage`.
    """

    population: str
    cases: int
    rule: str
    level: float
    bound: str
    mean: float
    deviation: float
    short: float
    width: float


def own_or_large(few: Cases, larger: Sequence[LargerSet], level: float) -> Bounds | None:
    """Return the wider of the bounds of a small set and those of larger ones; as style ``any`` does."""
    own, others = fit_bounds(few, level), [one.bounds[level] for one in larger]
    return most_conservative([*others, own] if own else others)


def borrowed(prior_cases: float) -> Rule:
    """Return the rule that takes limits with a borrowed shape as they are."""
    return lambda few, larger, level: bounds_of(
        borrowed_limits(bound_scores(few), larger, level, prior_cases) | NO_MEANS
    )


RULES: Mapping[str, Rule] = {
    "own cases": lambda few, _, level: fit_bounds(few, level),
    "wider of own and larger sets": own_or_large,
    "shape of larger sets": borrowed(0),
    "the same, scatter averaged": borrowed(20),
    "wider of own and the last": fit_few_bounds,
}


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--source", required=True, action="append")
    parser.add_argument("--weights", default="default")
    given = parser.parse_args()
    sets = dict(validation_cases(given.weights, source) for source in given.source)
    rows = []
    for name, (cases, larger) in populations(sets).items():
        for count in SIZES:
            rows += draw_small_sets(name, cases, larger, count)
            print(f"{name}: {count} cases", flush=True)
    with CSV.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(field.name for field in fields(SmallSets))
        table.writerows(
            [round(value, 4) if isinstance(value, float) else value for value in astuple(row)] for row in rows
        )


def validation_cases(weights: str, source: str) -> tuple[str, list[CheckedCase]]:
    """Segment the validation images of a data set in its own style."""
    pretrained, name = load_pretrained(weights), source.partition("=")[0]
    recipe = choose_data(pretrained.recipe, [source], None)
    parts = load_split_cases(recipe.data)
    pairs = open_split(parts, "val", recipe.data.size)
    sampling = chosen_sampling(pretrained.recipe).model_copy(update={"style": name})
    how = (sampling, BATCH, torch.device("cpu"), pretrained.quality)
    found = segment_cases(pretrained.segmenter.eval(), pairs, parts.cases["val"], *how)
    return name, [coverage_case(one, evaluate_case(one), name).checked for one in found]


def populations(
    sets: Mapping[str, list[CheckedCase]],
) -> dict[str, tuple[list[CheckedCase], list[LargerSet]]]:
    """Return the populations that small sets are drawn from, and the larger sets of each, by name."""
    larger = {name: LargerSet.calibrated_on(cases, LEVELS) for name, cases in sets.items()}
    found = {
        name: (cases, [one for other, one in larger.items() if other != name]) for name, cases in sets.items()
    }
    for name, cases in sets.items():
        contrasts = np.array([case.contrast for case in cases])
        low, high = np.quantile(contrasts, (0.25, 0.75))
        for kind, inside in (("low", contrasts < low), ("high", contrasts > high)):
            if np.count_nonzero(inside) >= FEWEST_IN_QUARTER:
                chosen, rest = (
                    [case for case, one in zip(cases, inside, strict=True) if one == wanted]
                    for wanted in (True, False)
                )
                lenders = [LargerSet.calibrated_on(rest, LEVELS), *found[name][1]]
                found[f"{name}, {kind} contrast"] = (chosen, lenders)
    return found


def draw_small_sets(name: str, cases: Cases, larger: Sequence[LargerSet], count: int) -> Iterator[SmallSets]:
    """Calibrate on small sets with each rule, and test on other cases of the population."""
    scores = bound_scores(cases)
    found: dict[tuple[str, float], list[Numbers]] = {}
    for draw in range(DRAWS):
        order = np.random.default_rng(draw).permutation(len(cases))
        few, test = [cases[one] for one in order[:count]], order[count : count + TESTED]
        known = {kind: values[test] for kind, values in scores.items()}
        measured = [cases[one] for one in test[:MEASURED]]
        for rule, fit in RULES.items():
            for level in LEVELS:
                bounds = fit(few, larger, level)
                if bounds is not None:
                    values = np.array([covered(known, bounds), measured_widths(measured, bounds)])
                    found.setdefault((rule, level), []).append(values)
    for (rule, level), drawn in found.items():
        values = np.array(drawn)
        for place, bound in enumerate(("area", "dice", "outer", "inner")):
            reached, width = values[:, 0, place], values[:, 1, place]
            short = float(np.mean(reached < level - SHORT))
            numbers = float(reached.mean()), float(reached.std()), short, float(width.mean())
            yield SmallSets(name, count, rule, level, bound, *numbers)


def covered(scores: Mapping[str, Numbers], bounds: Bounds) -> list[float]:
    """Return the shares of cases whose scores the bounds of area, Dice, outer and inner contour reach."""
    steps = {
        side: abs(np.searchsorted(THRESHOLDS, getattr(bounds, side)) - MASK_INDEX)
        for side in ("outer", "inner")
    }
    within = {key: values <= getattr(bounds, key, 0) + 1e-9 for key, values in scores.items()}
    within |= {side: scores[side] <= steps[side] for side in steps}
    area, dice = (within[f"{kind}_low"] & within[f"{kind}_high"] for kind in ("area", "dice"))
    return [float(np.mean(one)) for one in (area, dice, within["outer"], within["inner"])]


def measured_widths(cases: Cases, bounds: Bounds) -> list[float]:
    """Return the widths of intervals and contours, as in `Coverage`."""
    shares = [case.share for case in cases]
    areas = [area_interval(case.share, case.certainty, case.contrast, bounds) for case in cases]
    dices = [dice_interval(case.certainty, bounds) for case in cases]
    places = np.searchsorted(THRESHOLDS, (bounds.outer, bounds.inner))
    bands = [sum(abs(case.set_share[one] - case.share) for case in cases) / sum(shares) for one in places]
    relative = [(high - low) / share for (low, high), share in zip(areas, shares, strict=True) if share]
    return [float(np.median(relative)), float(np.median([high - low for low, high in dices])), *bands]


if __name__ == "__main__":
    main()
