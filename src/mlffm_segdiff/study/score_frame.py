"""The scores of a study's images as one data frame."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields

import pandas as pd

from mlffm_segdiff.config.errors import UserError, reason_of
from mlffm_segdiff.evaluation.rows import NETWORK_PREFIX
from mlffm_segdiff.files.csv_text import unguarded
from mlffm_segdiff.metrics.case_scores import COUNT_NAMES, CaseScores
from mlffm_segdiff.metrics.overlap import POOLED_SCORES, Counts
from mlffm_segdiff.study.cells import Cell
from mlffm_segdiff.study.study_folder import CellFolder

SCORE_COLUMNS = tuple(field.name for field in fields(CaseScores))
COLUMNS = ("variant", "dataset", "seed", "evaluation", "id", "resolution", *SCORE_COLUMNS)
ARM = ("dataset", "evaluation", "resolution", "variant")
"""The columns that identify what is averaged over images and seeds."""
RESOLUTIONS = ("source", "network")


@dataclass(frozen=True)
class CellResult:
    """A cell of a study and the folder of its files."""

    cell: Cell
    folder: CellFolder

    @property
    def finished(self) -> bool:
        """Whether the cell is trained and scored."""
        return self.folder.finished.is_file()

    @property
    def failed(self) -> bool:
        """Whether the last attempt failed."""
        return not self.finished and self.folder.failed.is_file()


def training_minutes(cells: Sequence[CellResult]) -> float | None:
    """Return the mean training time of finished cells that were not interrupted; None if there are none."""
    accounts = [one.folder.account() for one in cells if one.finished]
    minutes = [one["training_seconds"] / 60 for one in accounts if not one["resumed"]]
    return sum(minutes) / len(minutes) if minutes else None


def read_scores(cells: Sequence[CellResult], evaluations: Sequence[str]) -> pd.DataFrame:
    """Read the scores of the finished cells.

    Args:
        cells: Cells, finished or not.
        evaluations: Names of the evaluations.

    Returns:
        `COLUMNS`, two rows per image: resolution "source" (the size of the ground truth mask) and "network"
        (the size of the network's input). Distances are in pixels of that size.

    Raises:
        UserError: If a case table is missing, cannot be read, or lacks a column or an image.
    """
    tables = [_case_rows(one, evaluation) for evaluation in evaluations for one in cells if one.finished]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(COLUMNS))


def image_table(scores: pd.DataFrame, score: str, by: str = "variant") -> pd.DataFrame:
    """Average a score over the seeds that all columns have, for tests.

    Args:
        scores: Rows of one data set and resolution, and of one evaluation or (``by="evaluation"``) variant.
        score: Name of the score.
        by: Column of `scores` whose values become columns: ``variant`` or ``evaluation``.

    Returns:
        One row per image that every run has, one column per variant or evaluation.
    """
    kept = scores[scores["seed"].isin(common_seeds(scores, by))]
    runs = kept.pivot(index="id", columns=[by, "seed"], values=score).dropna()
    means = runs.T.groupby(level=0, sort=False).mean().T
    return means[list(dict.fromkeys(kept[by]))]


def image_means(scores: pd.DataFrame, score: str) -> pd.DataFrame:
    """Like `image_table`, but averages each variant over all of its seeds: to show, not to test."""
    means = scores.groupby(["id", "variant"])[score].mean().unstack()
    return means[list(dict.fromkeys(scores["variant"]))]


def common_seeds(scores: pd.DataFrame, by: str = "variant") -> list[int]:
    """Return the seeds that every variant (or value of column ``by``) has, sorted."""
    seeds = [set(rows["seed"]) for _, rows in scores.groupby(by)]
    return sorted(set.intersection(*seeds)) if seeds else []


def seed_means(scores: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Return the means over images of the named scores by `ARM` and seed."""
    return scores.groupby([*ARM, "seed"], sort=False)[list(names)].mean().reset_index()


def pooled_scores(scores: pd.DataFrame) -> pd.DataFrame:
    """Return `POOLED_SCORES` of the counts summed over images, by `ARM` and seed."""
    sums = scores.groupby([*ARM, "seed"], sort=False)[list(COUNT_NAMES)].sum()
    counts = [Counts(**{str(name): int(value) for name, value in row.items()}) for _, row in sums.iterrows()]
    pooled = {name: [score(one) for one in counts] for name, score in POOLED_SCORES.items()}
    return pd.DataFrame(pooled, index=sums.index).reset_index()


def _case_rows(one: CellResult, evaluation: str) -> pd.DataFrame:
    path, summary = one.folder.score_files(evaluation)
    try:
        cases = pd.read_csv(path, converters={"id": unguarded})
        count = json.loads(summary.read_text("utf-8"))["source"]["cases"]
        if len(cases) != count or not cases["id"].is_unique:
            raise ValueError(
                f"{len(cases)} rows of {cases['id'].nunique()} images, not one for each of {count}"
            )
        tables = [_at_resolution(cases, "source")]
        if f"{NETWORK_PREFIX}{SCORE_COLUMNS[0]}" in cases:
            tables.append(_at_resolution(cases, "network"))
        rows = pd.concat(tables, ignore_index=True)
        if rows[list(COUNT_NAMES)].isna().any(axis=None):
            raise ValueError("a row lacks counts of pixels")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} is not a case table ({reason_of(error)}); delete {path.parent} and run the study again"
        ) from None
    rows["evaluation"] = evaluation
    for name in ("variant", "dataset", "seed"):
        rows[name] = getattr(one.cell, name)
    return rows[list(COLUMNS)]


def _at_resolution(cases: pd.DataFrame, resolution: str) -> pd.DataFrame:
    prefix = NETWORK_PREFIX if resolution == "network" else ""
    scores = cases[[prefix + name for name in SCORE_COLUMNS]].apply(pd.to_numeric)
    return scores.set_axis(SCORE_COLUMNS, axis=1).assign(id=cases["id"], resolution=resolution)
