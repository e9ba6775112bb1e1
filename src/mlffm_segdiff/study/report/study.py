"""What a report is made of: the study's cells and scores, and how the study was set up."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd

from mlffm_segdiff.study.folder import StudyFolder
from mlffm_segdiff.study.lock import StudyLock, read_lock
from mlffm_segdiff.study.scores import StudiedCell, read_scores, studied_cells

Kind = Literal["ablation", "comparison"]
VERBS = {"ablation": "ablate", "comparison": "compare"}
NOUNS = {"ablation": "variant", "comparison": "model"}


@dataclass(frozen=True)
class Studied:
    """A study as its folder has it now."""

    folder: StudyFolder
    kind: Kind
    lock: StudyLock
    cells: list[StudiedCell]
    scores: pd.DataFrame

    @property
    def command(self) -> str:
        """The command that makes the report and all that is in it from the folder."""
        folder = self.folder.path.resolve().name
        words = [VERBS[self.kind], f"{folder}/{self.folder.study.name}", "-o", folder, "--report-only"]
        return shlex.join(["mlffm-segdiff", *words])

    @property
    def baseline(self) -> str:
        """The variant that the others are compared with."""
        return self.lock.baseline

    def against(self, variant: str) -> str:
        """The variant that this one is compared with."""
        return self.lock.against.get(variant, self.baseline)

    @property
    def part(self) -> str:
        """The part of the split that was scored."""
        return self.lock.part

    @property
    def noun(self) -> str:
        """What the study's variants are called."""
        return NOUNS[self.kind]

    @property
    def variants(self) -> list[str]:
        """The variants in the study's order, the baseline first."""
        every = dict.fromkeys(one.cell.variant for one in self.cells)
        return sorted(every, key=lambda variant: variant != self.baseline)

    @property
    def datasets(self) -> list[str]:
        """The data sets in the study's order."""
        return list(dict.fromkeys(one.cell.dataset for one in self.cells))

    @property
    def evaluations(self) -> list[str]:
        """The evaluations that some cell has, in the study's order."""
        return list(dict.fromkeys(self.scores["evaluation"]))

    def select(self, **values: str) -> pd.DataFrame:
        """Return the rows of the scores whose columns have these values, variants in the study's order."""
        rows = self.scores
        for column, value in values.items():
            rows = rows[rows[column] == value]
        order = {variant: place for place, variant in enumerate(self.variants)}
        return rows.sort_values("variant", key=lambda names: names.map(order), kind="stable")

    @property
    def evaluation(self) -> str:
        """The evaluation that leads: the study's first one that some cell has."""
        return self.evaluations[0]

    def main_rows(self, resolution: str = "source") -> pd.DataFrame:
        """Return the scores of the evaluation that leads, at that resolution."""
        return self.select(evaluation=self.evaluation, resolution=resolution)

    def by_dataset(self, resolution: str = "source") -> Iterator[tuple[str, pd.DataFrame]]:
        """Yield each data set that has scores with its `main_rows`."""
        rows = self.main_rows(resolution)
        for dataset in self.datasets:
            own = rows[rows["dataset"] == dataset]
            if len(own):
                yield dataset, own

    def first_cell(self, variant: str, dataset: str) -> StudiedCell | None:
        """Return the finished cell of the variant and data set with the lowest seed, None where none is."""
        found = [
            one
            for one in self.cells
            if one.finished and (one.cell.variant, one.cell.dataset) == (variant, dataset)
        ]
        return min(found, key=lambda one: one.cell.seed, default=None)


def read_study(folder: Path, kind: Kind) -> Studied:
    """Return the study in a folder, finished or not.

    Raises UserError where study.lock or a case table is absent or damaged.
    """
    paths = StudyFolder(folder)
    lock = read_lock(paths.lock)
    cells = studied_cells(paths, lock)
    return Studied(paths, kind, lock, cells, read_scores(cells, list(lock.evaluations)))
