"""How far a study is: what its live table shows."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from mlffm_segdiff.study.cells import Cell

State = Literal["waiting", "running", "done", "failed"]


@dataclass
class Tally:
    """The state of each cell, by its key. seconds: what finished cells took, those of earlier calls too."""

    cells: Sequence[Cell]
    states: dict[str, State] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def count(self, *states: State, cells: Iterable[Cell] | None = None) -> int:
        """Return how many trainings are in one of these states; cells: of which, all if None."""
        keys = {cell.key for cell in (self.cells if cells is None else cells)}
        return sum(self.states.get(key, "waiting") in states for key in keys)

    def seconds_left(self) -> float | None:
        """Return the mean time of a finished cell for each one left, shared among those that run.

        None before any has finished. A cell that runs counts as one not begun.
        """
        if not self.seconds:
            return None
        mean = sum(self.seconds.values()) / len(self.seconds)
        return mean * self.count("waiting", "running") / max(self.count("running"), 1)


def duration(seconds: float | None) -> str:
    """Return a time for people: 40 s, 12 min, 3 h 05 min; "?" for None."""
    if seconds is None:
        return "?"
    if seconds < 60:
        return f"{round(seconds)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"
