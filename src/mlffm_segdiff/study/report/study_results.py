"""The results of a study, read from its folder."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from mlffm_segdiff.config.paths import expanded
from mlffm_segdiff.study.plan import StudyPlan, read_plan
from mlffm_segdiff.study.report.scored_variants import ScoredVariants
from mlffm_segdiff.study.score_frame import CellResult, read_scores
from mlffm_segdiff.study.study_folder import StudyFolder


@dataclass(frozen=True)
class StudyResults(ScoredVariants):
    """A study, finished or not.

    Attributes:
        folder: Folder of the study.
        plan: Plan of the study.
        cells: Cells in the order of the plan.
    """

    folder: StudyFolder
    plan: StudyPlan
    cells: list[CellResult]

    @property
    def finished(self) -> list[CellResult]:
        """The finished cells."""
        return [one for one in self.cells if one.finished]

    def first_cell(self, variant: str, dataset: str) -> CellResult | None:
        """Return the finished cell of a variant and data set with the lowest seed, or None."""
        found = [one for one in self.finished if (one.cell.variant, one.cell.dataset) == (variant, dataset)]
        return min(found, key=lambda one: one.cell.seed, default=None)


def read_results(folder: Path | str) -> StudyResults:
    """Read the results of a study, finished or not.

    Args:
        folder: The study's folder.

    Raises:
        UserError: If the plan or a case table is missing or damaged.
    """
    paths = StudyFolder(expanded(folder))
    plan = read_plan(paths.plan)
    cells = [CellResult(cell, paths.cell(cell.key)) for cell in plan.cells]
    every = dict.fromkeys(one.cell.variant for one in cells)
    return StudyResults(
        scores=read_scores(cells, list(plan.evaluations)),
        variants=sorted(every, key=lambda variant: variant != plan.baseline),
        datasets=list(dict.fromkeys(one.cell.dataset for one in cells)),
        against=plan.against,
        subject=f"part {plan.part!r}",
        command=shlex.join(["mlffm-segdiff", "study", "report", str(folder)]),
        noun="variant",
        folder=paths,
        plan=plan,
        cells=cells,
    )
