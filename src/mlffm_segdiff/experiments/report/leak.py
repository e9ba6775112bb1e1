"""How much a leaking split flatters: the same source under two splits, such as by image and by lesion."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import pandas as pd

from mlffm_segdiff.experiments.report.study import Studied
from mlffm_segdiff.experiments.report.table import Table
from mlffm_segdiff.experiments.report.words import ends, number, p_value, signed
from mlffm_segdiff.experiments.scores import image_means
from mlffm_segdiff.experiments.statistics.unpaired import Unpaired, compare_unpaired
from mlffm_segdiff.metrics.summary import Interval

CAPTION = (
    "The same source under two splits: Jaccard at source size on the first's test part less that on the "
    "second's, each image averaged over seeds. The images differ, so nothing is paired: interval by BCa "
    "bootstrap of both, p by Mann and Whitney's U test, effect is Cliff's delta. Where the first split "
    "puts images of one lesion into training and test and the second does not, the difference is what the "
    "leak flatters, with what the other images do."
)


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
        (variant, one, other, result, means)
        for one, other in split_pairs(study)
        for variant in study.variants
        for result, means in _compared(study, variant, one, other)
    ]
    if not found:
        return None
    numbers = pd.DataFrame([_numbers(study.noun, *row) for row in found])
    return Table("leak", CAPTION, numbers, numbers.apply(_shown, axis=1))


def _compared(
    study: Studied, variant: str, one: str, other: str
) -> Iterator[tuple[Unpaired, tuple[float, float]]]:
    rows = study.main_rows()
    rows = rows[rows["variant"] == variant]
    found = [rows[rows["dataset"] == dataset] for dataset in (one, other)]
    values = [image_means(own, "jaccard")[variant].to_numpy() for own in found if len(own)]
    if len(values) == 2:
        first, second = values
        yield compare_unpaired(first, second), (float(first.mean()), float(second.mean()))


def _numbers(
    noun: str, variant: str, one: str, other: str, result: Unpaired, means: tuple[float, float]
) -> dict[str, object]:
    return {
        noun: variant,
        "first split": one,
        "second split": other,
        "Jaccard, first": means[0],
        "Jaccard, second": means[1],
        "difference": result.difference.mean,
        "low": result.difference.low,
        "high": result.difference.high,
        "p": result.p,
        "effect": result.effect,
    }


def _shown(row: pd.Series) -> pd.Series:
    shown = {
        **{name: row[name] for name in row.index[:3]},
        **{name: number(row[name]) for name in ("Jaccard, first", "Jaccard, second")},
        "difference": signed(row["difference"]),
        "95 % interval": ends(Interval(row["difference"], row["low"], row["high"]), "+"),
        "p": p_value(row["p"]),
        "effect": number(row["effect"], 2),
    }
    return pd.Series(shown)
