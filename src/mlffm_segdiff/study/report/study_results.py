"""The results of a study, read from its folder."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from mlffm_segdiff.study.plan import StudyPlan, read_plan
from mlffm_segdiff.study.score_frame import CellResult, read_scores
from mlffm_segdiff.study.study_folder import StudyFolder


@dataclass(frozen=True)
class StudyResults:
    """A study, finished or not.

    Attributes:
        folder: Its folder.
        plan: Its plan.
        cells: Its cells in the order of the plan.
        scores: Scores of the finished cells, see `read_scores`.
    """

    folder: StudyFolder
    plan: StudyPlan
    cells: list[CellResult]
    scores: pd.DataFrame

    @property
    def command(self) -> str:
        """The command that writes the report."""
        return shlex.join(["mlffm-segdiff", "study", "report", self.folder.path.resolve().name])

    @property
    def finished(self) -> list[CellResult]:
        """The finished cells."""
        return [one for one in self.cells if one.finished]

    @property
    def variants(self) -> list[str]:
        """The variants in the order of the study, the baseline first."""
        every = dict.fromkeys(one.cell.variant for one in self.cells)
        return sorted(every, key=lambda variant: variant != self.plan.baseline)

    @property
    def datasets(self) -> list[str]:
        """The data sets in the order of the study."""
        return list(dict.fromkeys(one.cell.dataset for one in self.cells))

    @property
    def evaluations(self) -> list[str]:
        """The evaluations that a cell has, in the order of the study. The first one leads."""
        return list(dict.fromkeys(self.scores["evaluation"]))

    def against(self, variant: str) -> str:
        """Return the variant that this one is compared with."""
        return self.plan.against.get(variant, self.plan.baseline)

    def select(self, **values: str) -> pd.DataFrame:
        """Return the scores whose columns have these values, variants in the order of the study."""
        rows = self.scores
        for column, value in values.items():
            rows = rows[rows[column] == value]
        order = {variant: place for place, variant in enumerate(self.variants)}
        return rows.sort_values("variant", key=lambda names: names.map(order), kind="stable")

    def main_rows(self, resolution: str = "source") -> pd.DataFrame:
        """Return the scores of the first evaluation at a resolution."""
        return self.select(evaluation=self.evaluations[0], resolution=resolution)

    def by_dataset(self, resolution: str = "source") -> Iterator[tuple[str, pd.DataFrame]]:
        """Yield each data set that has scores, with its `main_rows`."""
        rows = self.main_rows(resolution)
        for dataset in self.datasets:
            own = rows[rows["dataset"] == dataset]
            if len(own):
                yield dataset, own

    def first_cell(self, variant: str, dataset: str) -> CellResult | None:
        """Return the finished cell of a variant and data set with the lowest seed, or None."""
        found = [one for one in self.finished if (one.cell.variant, one.cell.dataset) == (variant, dataset)]
        return min(found, key=lambda one: one.cell.seed, default=None)


def read_results(folder: Path) -> StudyResults:
    """Read the results of a study, finished or not.

    Args:
        folder: The study's folder.

    Raises:
        UserError: If the plan or a case table is missing or damaged.
    """
    paths = StudyFolder(folder)
    plan = read_plan(paths.plan)
    cells = [CellResult(cell, paths.cell(cell.key)) for cell in plan.cells]
    return StudyResults(paths, plan, cells, read_scores(cells, list(plan.evaluations)))
