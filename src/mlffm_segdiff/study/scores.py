"""What a study has found so far: its cells, and the scores of each image as one table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import pandas as pd

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.evaluation.report import CASES_FILE
from mlffm_segdiff.evaluation.rows import NETWORK_PREFIX
from mlffm_segdiff.metrics.case_scores import COUNT_NAMES, CaseScores
from mlffm_segdiff.metrics.overlap import POOLED_SCORES, Counts
from mlffm_segdiff.study.cells import Cell
from mlffm_segdiff.study.folder import CellFolder, StudyFolder
from mlffm_segdiff.study.lock import StudyLock

SCORE_COLUMNS = tuple(field.name for field in fields(CaseScores))
COLUMNS = ("variant", "dataset", "seed", "evaluation", "id", "resolution", *SCORE_COLUMNS)
ARM = ("dataset", "evaluation", "resolution", "variant")
RESOLUTIONS = ("source", "network")


@dataclass(frozen=True)
class StudiedCell:
    """A cell of a study and where its files lie."""

    cell: Cell
    folder: CellFolder

    @property
    def finished(self) -> bool:
        """Whether it was trained and scored to the end."""
        return self.folder.finished.is_file()

    @property
    def failed(self) -> bool:
        """Whether its last try ended with an error."""
        return not self.finished and self.folder.failed.is_file()


def studied_cells(folder: StudyFolder, lock: StudyLock) -> list[StudiedCell]:
    """Return the cells of a study in the order of its lock."""
    return [StudiedCell(cell, folder.cell(cell.key)) for cell in lock.cells]


def read_scores(cells: Sequence[StudiedCell], evaluations: Sequence[str]) -> pd.DataFrame:
    """Return the scores of each image under COLUMNS: finished cells only, two rows an image by resolution.

    resolution: "source" is the true mask's own size, "network" the network's. Distances count pixels of that
    size. Raises UserError where a case table cannot be read or lacks a column.
    """
    tables = [
        _case_rows(cell, evaluation)
        for evaluation in evaluations
        for cell in cells
        if cell.finished and (cell.folder.scores(evaluation) / CASES_FILE).is_file()
    ]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(COLUMNS))


def image_table(scores: pd.DataFrame, score: str, by: str = "variant") -> pd.DataFrame:
    """Return one score, averaged over seeds first: one row an image, one column a variant, no gaps.

    scores: rows of one data set and resolution, and of one evaluation (or, where ``by`` is "evaluation", one
    variant). Only the seeds that every column has enter, and of the images those that every run has.
    """
    seeds = common_seeds(scores, by)
    kept = scores[scores["seed"].isin(seeds)]
    runs = kept.pivot(index="id", columns=[by, "seed"], values=score).dropna()
    means = runs.T.groupby(level=0, sort=False).mean().T
    return means[list(dict.fromkeys(kept[by]))]


def image_means(scores: pd.DataFrame, score: str) -> pd.DataFrame:
    """As `image_table`, but each variant is averaged over all the seeds it has: to show, not to test."""
    means = scores.groupby(["id", "variant"])[score].mean().unstack()
    return means[list(dict.fromkeys(scores["variant"]))]


def common_seeds(scores: pd.DataFrame, by: str = "variant") -> list[int]:
    """Return the seeds that every variant (or evaluation) among the rows has, sorted."""
    seeds = [set(rows["seed"]) for _, rows in scores.groupby(by)]
    return sorted(set.intersection(*seeds)) if seeds else []


def seed_means(scores: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Return the mean over images of the named scores by ARM and seed: every image counts alike."""
    return scores.groupby([*ARM, "seed"], sort=False)[list(names)].mean().reset_index()


def pooled_scores(scores: pd.DataFrame) -> pd.DataFrame:
    """Return POOLED_SCORES of the counts summed over images, by ARM and seed: every pixel counts alike."""
    sums = scores.groupby([*ARM, "seed"], sort=False)[list(COUNT_NAMES)].sum()
    counts = [Counts(**{str(name): int(value) for name, value in row.items()}) for _, row in sums.iterrows()]
    pooled = {name: [score(one) for one in counts] for name, score in POOLED_SCORES.items()}
    return pd.DataFrame(pooled, index=sums.index).reset_index()


def _case_rows(cell: StudiedCell, evaluation: str) -> pd.DataFrame:
    path = cell.folder.scores(evaluation) / CASES_FILE
    try:
        cases = pd.read_csv(path, converters={"id": str})
        tables = [_resolution_rows(cases, name) for name in RESOLUTIONS if _has(cases, name)]
        rows = pd.concat(tables, ignore_index=True)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"{path} is no case table ({' '.join(str(error).split())}); delete {path.parent} and run the "
            "study again"
        ) from None
    rows["evaluation"] = evaluation
    for name in ("variant", "dataset", "seed"):
        rows[name] = getattr(cell.cell, name)
    return rows[list(COLUMNS)]


def _has(cases: pd.DataFrame, resolution: str) -> bool:
    return resolution == "source" or f"{NETWORK_PREFIX}{SCORE_COLUMNS[0]}" in cases


def _resolution_rows(cases: pd.DataFrame, resolution: str) -> pd.DataFrame:
    prefix = NETWORK_PREFIX if resolution == "network" else ""
    rows = cases[["id", *(prefix + name for name in SCORE_COLUMNS)]]
    return rows.set_axis(["id", *SCORE_COLUMNS], axis=1).assign(resolution=resolution)
