"""Tables of many models at once: Friedman's test and Nemenyi's."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from mlffm_segdiff.study.report.study import Studied
from mlffm_segdiff.study.report.table import Table
from mlffm_segdiff.study.report.words import number, p_value
from mlffm_segdiff.study.scores import common_seeds, image_table
from mlffm_segdiff.study.statistics.paired import LEVEL
from mlffm_segdiff.study.statistics.ranking import Ranking, rank_models


def rankings(study: Studied, score: str, resolution: str) -> dict[str, Ranking]:
    """Rank the variants on each data set that has three of them with a seed in common."""
    found = {}
    for dataset, rows in study.by_dataset(resolution):
        if rows["variant"].nunique() < 3 or not common_seeds(rows):
            continue
        table = image_table(rows, score)
        if len(table) > 1:
            found[dataset] = rank_models(table)
    return found


def friedman_table(study: Studied, found: Mapping[str, Ranking]) -> Table:
    """Return Friedman's test by data set."""
    numbers = pd.DataFrame(
        [
            {
                "data set": dataset,
                "images": one.images,
                "chi-squared": one.statistic,
                "p": one.p,
                "critical difference": one.critical_difference,
            }
            for dataset, one in found.items()
        ]
    )
    shown = numbers.assign(
        **{name: numbers[name].map(lambda value: number(value, 2)) for name in numbers.columns[[2, 4]]},
        p=numbers["p"].map(p_value),
    ).astype(str)
    caption = (
        f"Friedman's test over the {study.noun}s on the same images: Jaccard at source size, averaged over "
        f"seeds. Mean ranks further apart than the critical difference differ at level {LEVEL} (Nemenyi; "
        "Demsar 2006)."
    )
    return Table("friedman", caption, numbers, shown)


def rank_table(study: Studied, found: Mapping[str, Ranking]) -> Table:
    """Return the mean ranks, one row a model, one column a data set."""
    ranks = pd.DataFrame({dataset: one.ranks for dataset, one in found.items()})
    ranks = ranks.loc[[name for name in study.variants if name in ranks.index]]
    numbers = ranks.rename_axis(study.noun).reset_index()
    shown = numbers.assign(**{name: numbers[name].map(lambda value: number(value, 2)) for name in found})
    return Table("ranks", "Mean ranks on the images of each data set, 1 is best.", numbers, shown)


def nemenyi_table(study: Studied, found: Mapping[str, Ranking]) -> Table:
    """Return Nemenyi's p-value for each pair of models by data set."""
    rows = [
        {"data set": dataset, study.noun: one, "other": other, "p": ranking.nemenyi.loc[one, other]}
        for dataset, ranking in found.items()
        for place, one in enumerate(ranking.ranks.index)
        for other in ranking.ranks.index[place + 1 :]
    ]
    numbers = pd.DataFrame(rows)
    caption = f"Nemenyi's test for each pair of {study.noun}s; the first of a pair has the better mean rank."
    return Table("nemenyi", caption, numbers, numbers.assign(p=numbers["p"].map(p_value)))
