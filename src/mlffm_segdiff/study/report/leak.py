"""How much a leaking split flatters: the same source under two splits, such as by image and by lesion."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import pandas as pd

from mlffm_segdiff.metrics.summary import Interval
from mlffm_segdiff.study.report.study import Studied
from mlffm_segdiff.study.report.table import Table
from mlffm_segdiff.study.report.words import ends, number, p_value, signed
from mlffm_segdiff.study.scores import common_seeds, image_means
from mlffm_segdiff.study.statistics.paired import Paired, compare_paired, holm
from mlffm_segdiff.study.statistics.unpaired import Unpaired, compare_unpaired

CAPTION = (
    "The same source under two splits: Jaccard at source size on the first's test part less that on the "
    "second's, each image averaged over the seeds that both have. Where both test the same images they are "
    "paired (interval by BCa bootstrap, p by Wilcoxon's signed-rank test, effect: rank-biserial "
    "correlation). Where the images differ nothing is paired (BCa bootstrap of both, Mann and Whitney's U "
    "test, Cliff's delta). Where the first split puts images of one lesion into training and test and the "
    "second does not, the difference is what the leak flatters; of other images it holds too how hard they "
    "are. Holm: corrected for all rows."
)
PAIRED = {True: "same", False: "other"}


@dataclass(frozen=True)
class Comparison:
    """A variant's scores under the first split less those under the second.

    paired: whether both test the same images. means: of the first and of the second.
    """

    variant: str
    first: str
    second: str
    paired: bool
    means: tuple[float, float]
    result: Paired | Unpaired


def split_pairs(study: Studied) -> list[tuple[str, str]]:
    """Return the pairs of data sets that take the same source under different splits.

    Of a pair, the one with a split list of its own comes before the one with the package's.
    """
    data = {one.cell.dataset: (one.cell.recipe.data, one.cell.split) for one in study.cells}
    order = sorted(data, key=lambda name: data[name][0].split is None)
    return [
        (one, other)
        for one, other in combinations(order, 2)
        if data[one][0].sources == data[other][0].sources and data[one][1] != data[other][1]
    ]


def leak_table(study: Studied) -> Table | None:
    """Return each variant's scores under one split against the other; None where no source has two."""
    found = [
        result
        for variant in study.variants
        for one, other in split_pairs(study)
        for result in _compared(study, variant, one, other)
    ]
    if not found:
        return None
    corrected = holm([one.result.p for one in found])
    rows = [_numbers(study.noun, one, p) for one, p in zip(found, corrected, strict=True)]
    numbers = pd.DataFrame(rows)
    return Table("leak", CAPTION, numbers, numbers.apply(_shown, axis=1))


def _compared(study: Studied, variant: str, one: str, other: str) -> Iterator[Comparison]:
    rows = study.main_rows()
    rows = rows[rows["variant"] == variant]
    both = rows[rows["dataset"].isin([one, other])]
    kept = both[both["seed"].isin(common_seeds(both, "dataset"))]
    if kept["dataset"].nunique() == 2:
        first, second = (
            image_means(kept[kept["dataset"] == name], "jaccard")[variant].sort_index()
            for name in (one, other)
        )
        same = first.index.equals(second.index)
        compare = compare_paired if same else compare_unpaired
        means = (float(first.mean()), float(second.mean()))
        yield Comparison(variant, one, other, same, means, compare(first.to_numpy(), second.to_numpy()))


def _numbers(noun: str, one: Comparison, corrected: float) -> dict[str, object]:
    return {
        noun: one.variant,
        "first split": one.first,
        "second split": one.second,
        "images": PAIRED[one.paired],
        "Jaccard, first": one.means[0],
        "Jaccard, second": one.means[1],
        "difference": one.result.difference.mean,
        "low": one.result.difference.low,
        "high": one.result.difference.high,
        "p": one.result.p,
        "p, Holm": corrected,
        "effect": one.result.effect,
    }


def _shown(row: pd.Series) -> pd.Series:
    shown = {
        **{name: row[name] for name in row.index[:4]},
        **{name: number(row[name]) for name in ("Jaccard, first", "Jaccard, second")},
        "difference": signed(row["difference"]),
        "95 % interval": ends(Interval(row["difference"], row["low"], row["high"]), "+"),
        "p": p_value(row["p"]),
        "p, Holm": p_value(row["p, Holm"]),
        "effect": number(row["effect"], 2),
    }
    return pd.Series(shown)
