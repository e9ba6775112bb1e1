"""Tables that rank all variants: Friedman's test, mean ranks, Nemenyi's test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from mlffm_segdiff.study.differences import LEVEL, MIN_PAIRS
from mlffm_segdiff.study.ranking import MIN_MODELS, Ranking, rank_models
from mlffm_segdiff.study.report.document import Table
from mlffm_segdiff.study.report.scored_variants import ScoredVariants
from mlffm_segdiff.study.report.wording import number, p_value
from mlffm_segdiff.study.score_frame import common_seeds, image_table


@dataclass(frozen=True)
class DatasetRanking(Ranking):
    """The ranking on one data set.

    Attributes:
        seeds: The seeds that every variant has; each image is averaged over them.
    """

    seeds: Sequence[int]


def rankings(
    study: ScoredVariants, score: str, resolution: str
) -> tuple[dict[str, DatasetRanking], dict[str, str]]:
    """Rank the variants on each data set.

    Returns:
        The rankings, and why other data sets have none, by data set.
    """
    found: dict[str, DatasetRanking] = {}
    left_out = dict.fromkeys(study.datasets, "no finished run")
    for dataset, rows in study.by_dataset(resolution):
        seeds = common_seeds(rows)
        if rows["variant"].nunique() < MIN_MODELS:
            left_out[dataset] = f"a ranking needs three {study.noun}s"
        elif not seeds:
            left_out[dataset] = f"its {study.noun}s have no finished seed in common"
        elif len(table := image_table(rows, score)) < MIN_PAIRS:
            left_out[dataset] = f"fewer than {MIN_PAIRS} images in common"
        else:
            found[dataset] = DatasetRanking(**vars(rank_models(table)), seeds=seeds)
            del left_out[dataset]
    return found, left_out


def ranking_tables(study: ScoredVariants, found: Mapping[str, DatasetRanking]) -> list[Table]:
    """Tabulate Friedman's test by data set, the mean ranks, and Nemenyi's p-values of each pair."""
    return [_friedman_table(study, found), _rank_table(study, found), _nemenyi_table(study, found)]


def _friedman_table(study: ScoredVariants, found: Mapping[str, DatasetRanking]) -> Table:
    numbers = pd.DataFrame(
        {
            "data set": dataset,
            "images": one.images,
            "seeds": ", ".join(map(str, one.seeds)),
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
        "the seeds that all of them have, which are listed. Mean ranks further apart than the critical "
        f"difference differ at level {LEVEL} (Demsar 2006)."
    )
    return Table("friedman", caption, numbers, shown)


def _rank_table(study: ScoredVariants, found: Mapping[str, Ranking]) -> Table:
    ranks = pd.DataFrame({dataset: one.ranks for dataset, one in found.items()})
    ranks = ranks.loc[[name for name in study.variants if name in ranks.index]]
    numbers, shown = ranks.copy(), ranks.map(lambda rank: number(rank, 2))
    for table in (numbers, shown):
        table.insert(0, study.noun, ranks.index, allow_duplicates=True)  # a data set may have the noun's name
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
