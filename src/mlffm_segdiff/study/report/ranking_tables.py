"""Tables that rank all variants: Friedman's test, mean ranks, Nemenyi's test."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from mlffm_segdiff.study.differences import LEVEL
from mlffm_segdiff.study.ranking import Ranking, rank_models
from mlffm_segdiff.study.report.document import Table
from mlffm_segdiff.study.report.scored_variants import ScoredVariants
from mlffm_segdiff.study.report.wording import number, p_value
from mlffm_segdiff.study.score_frame import common_seeds, image_table


def rankings(study: ScoredVariants, score: str, resolution: str) -> dict[str, Ranking]:
    """Rank the variants on each data set that has three of them with a seed in common."""
    found = {}
    for dataset, rows in study.by_dataset(resolution):
        if rows["variant"].nunique() < 3 or not common_seeds(rows):
            continue
        table = image_table(rows, score)
        if len(table) > 1:
            found[dataset] = rank_models(table)
    return found


def ranking_tables(study: ScoredVariants, found: Mapping[str, Ranking]) -> list[Table]:
    """Tabulate Friedman's test by data set, the mean ranks, and Nemenyi's p-values of each pair."""
    return [_friedman_table(study, found), _rank_table(study, found), _nemenyi_table(study, found)]


def _friedman_table(study: ScoredVariants, found: Mapping[str, Ranking]) -> Table:
    numbers = pd.DataFrame(
        {
            "data set": dataset,
            "images": one.images,
            "chi-squared": one.statistic,
            "p": one.p,
            "critical difference": one.critical_difference,
        }
        for dataset, one in found.items()
    )
    two_digits = {name: numbers[name].map("{:.2f}".format) for name in ("chi-squared", "critical difference")}
    shown = numbers.assign(**two_digits, p=numbers["p"].map(p_value)).astype(str)
    caption = (
        f"Friedman's test over the {study.noun}s on the same images: Jaccard at source size, averaged over "
        f"seeds. Mean ranks further apart than the critical difference differ at level {LEVEL} (Demsar 2006)."
    )
    return Table("friedman", caption, numbers, shown)


def _rank_table(study: ScoredVariants, found: Mapping[str, Ranking]) -> Table:
    ranks = pd.DataFrame({dataset: one.ranks for dataset, one in found.items()})
    ranks = ranks.loc[[name for name in study.variants if name in ranks.index]]
    numbers = ranks.rename_axis(study.noun).reset_index()
    shown = numbers.assign(**{name: numbers[name].map(lambda rank: number(rank, 2)) for name in found})
    return Table("ranks", "Mean ranks on the images of each data set; 1 is best.", numbers, shown)


def _nemenyi_table(study: ScoredVariants, found: Mapping[str, Ranking]) -> Table:
    numbers = pd.DataFrame(
        {"data set": dataset, study.noun: one, "other": other, "p": ranking.nemenyi.loc[one, other]}
        for dataset, ranking in found.items()
        for place, one in enumerate(ranking.ranks.index)
        for other in ranking.ranks.index[place + 1 :]
    )
    caption = f"Nemenyi's test for each pair of {study.noun}s; the first of a pair has the better mean rank."
    return Table("nemenyi", caption, numbers, numbers.assign(p=numbers["p"].map(p_value)))
