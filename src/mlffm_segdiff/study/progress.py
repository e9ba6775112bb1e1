"""The progress of a study, read from its folder."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from mlffm_segdiff.study.cells import Cell
from mlffm_segdiff.study.plan import StudyPlan
from mlffm_segdiff.study.study_folder import StudyFolder
from mlffm_segdiff.training.time_estimate import duration

State = Literal["waiting", "running", "done", "failed"]


@dataclass(frozen=True)
class StudyProgress:
    """The states of a study's cells, read from files, which works in any process and with any launcher."""

    plan: StudyPlan
    folder: StudyFolder
    _seconds: dict[str, float] = field(default_factory=dict)

    def state(self, cell: Cell) -> State:
        """Return the state of a cell; "running" also for one whose process was killed."""
        place = self.folder.cell(cell.key)
        if place.finished.is_file():
            return "done"
        if place.running.is_file():
            return "running"
        return "failed" if place.failed.is_file() else "waiting"

    def seconds(self, cell: Cell) -> float | None:
        """Return the seconds a finished cell took, or None. Raises UserError if its record is damaged."""
        if cell.key not in self._seconds and self.state(cell) == "done":
            self._seconds[cell.key] = self.folder.cell(cell.key).account()["seconds"]
        return self._seconds.get(cell.key)

    def count(self, *states: State, cells: Iterable[Cell] | None = None) -> int:
        """Count the cells in one of these states, of all cells by default."""
        return sum(self.state(cell) in states for cell in (self.plan.cells if cells is None else cells))

    def seconds_left(self) -> float | None:
        """Estimate the remaining time from the mean of the finished cells, shared by the running ones.

        None before a cell is finished. A running cell counts in full.
        """
        known = [seconds for cell in self.plan.cells if (seconds := self.seconds(cell)) is not None]
        if not known:
            return None
        return sum(known) / len(known) * self.count("waiting", "running") / max(self.count("running"), 1)

    def summary(self) -> str:
        """Return the counts over all cells, and the estimated time left."""
        done, running, failed = (self.count(state) for state in ("done", "running", "failed"))
        left = self.count("waiting", "running")
        time = f", time left {duration(self.seconds_left())}" if left else ""
        return f"{done} of {len(self.plan.cells)} cells done, {running} running, {failed} failed{time}"
