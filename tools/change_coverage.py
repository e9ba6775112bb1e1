"""How often the interval of a change holds, on pairs of images of one lesion.

    OMP_NUM_THREADS=1 python tools/change_coverage.py --source ham10000=PATH [--part test] [--weights default]

Of each lesion with several images in the part, the first two are compared by `measure_change`. Images of one
lesion may be taken at different magnifications, so the true change is not 0: it is that of the areas of the
ground truth. Prints a Markdown table.
"""

import argparse
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import binomtest

from mlffm_segdiff.cli.common import choose_data
from mlffm_segdiff.data.sources import load_split_cases, open_split
from mlffm_segdiff.evaluation.model import ComparedCase, segment_cases
from mlffm_segdiff.inference.change import Change, measure_change
from mlffm_segdiff.segmenters.pretrained import load_pretrained
from mlffm_segdiff.segmenters.sampling import chosen_sampling

BATCH = 8
CPU = torch.device("cpu")
SAME_AREA = 1.05
"""Ratio of the true areas up to which a pair counts as unchanged."""
OTHER_AREA = 1.5
"""Ratio of the true areas from which a pair counts as changed."""


@dataclass(frozen=True)
class Pair:
    """Two images of one lesion: the measured change, and the true areas as shares of their images."""

    change: Change
    before: float
    after: float

    @property
    def ratio(self) -> float:
        """The larger true area over the smaller one."""
        return max(self.before, self.after) / min(self.before, self.after)


def compare_pairs(cases: Sequence[ComparedCase]) -> list[Pair]:
    """Compare the first two images of each lesion; those without any lesion are left out."""
    groups: dict[str, list[ComparedCase]] = defaultdict(list)
    for one in cases:
        if one.truth.any():
            groups[one.case.group].append(one)
    return [
        Pair(measure_change(one.result, other.result), float(one.truth.mean()), float(other.truth.mean()))
        for one, other in (found[:2] for found in groups.values() if len(found) > 1)
    ]


def row(pairs: Sequence[Pair], level: float) -> str:
    """Return the line of the table for one level."""
    certain = [bool(pair.change.is_certain(level)) for pair in pairs]
    held, wrong = [], []
    for pair, is_certain in zip(pairs, certain, strict=True):
        low, high = pair.change.difference.intervals[level]
        held.append(low <= pair.after - pair.before <= high)
        wrong.append(is_certain and pair.change.difference.value * (pair.after - pair.before) < 0)
    same = [not one for pair, one in zip(pairs, certain, strict=True) if pair.ratio <= SAME_AREA]
    other = [one for pair, one in zip(pairs, certain, strict=True) if pair.ratio >= OTHER_AREA]
    cells = [f"{100 * level:g} %", *map(_share, (held, same, other, wrong))]
    return f"| {' | '.join(cells)} |"


def _share(held: Sequence[bool]) -> str:
    """Return a share with its exact binomial 95 % interval."""
    if not held:
        return "no pairs"
    ends = binomtest(sum(held), len(held)).proportion_ci()
    return f"{sum(held)} of {len(held)}, {np.mean(held):.3f} ({ends.low:.3f} to {ends.high:.3f})"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--source", required=True)
    parser.add_argument("--part", default="test", choices=("val", "test"))
    parser.add_argument("--weights", default="default")
    given = parser.parse_args()
    pretrained = load_pretrained(given.weights)
    recipe = choose_data(pretrained.recipe, [given.source], None)
    parts = load_split_cases(recipe.data)
    pairs = open_split(parts, given.part, recipe.data.size)
    groups: dict[str, int] = defaultdict(int)
    for case in parts.cases[given.part]:
        groups[case.group] += 1
    cases = [case for case in parts.cases[given.part] if groups[case.group] > 1]
    sampling = chosen_sampling(pretrained.recipe)
    segmenter = pretrained.segmenter.eval()
    compared = segment_cases(segmenter, pairs, cases, sampling, BATCH, CPU, pretrained.quality)
    found = compare_pairs(list(compared))
    print("| level | interval holds the true difference | ratio of true areas at most", end="")
    print(
        f" {SAME_AREA}: not distinguished from zero | at least {OTHER_AREA}: distinguished from zero "
        "| in the wrong direction |"
    )
    print("|---|---|---|---|---|")
    for level in found[0].change.levels:
        print(row(found, level))


if __name__ == "__main__":
    main()
