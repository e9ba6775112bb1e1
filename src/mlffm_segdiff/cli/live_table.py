"""The progress of a study: a live table on a terminal, otherwise one line per cell."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

from mlffm_segdiff.study.cells import Cell
from mlffm_segdiff.study.progress import StudyProgress
from mlffm_segdiff.training.time_estimate import duration


@dataclass(frozen=True)
class LiveTable:
    """Shows progress: a row per variant, a column per data set."""

    progress: StudyProgress
    console: Console

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the table until the block ends."""
        if not self.console.is_terminal:
            self.console.print(self.progress.summary(), soft_wrap=True)
            yield
            return
        with Live(console=self.console, get_renderable=self.draw, refresh_per_second=1):
            yield

    def print_end(self, cell: Cell, error: str | None) -> None:
        """Print that a cell ended; above a live table only if it failed."""
        if self.console.is_terminal and error is None:
            return
        how = f"failed: {error}" if error is not None else f"done in {duration(self.progress.seconds(cell))}"
        self.console.print(f"{cell.key} {cell}: {how}; {self.progress.summary()}", soft_wrap=True)

    def draw(self) -> Group:
        """Return the current table with a summary below."""
        cells = self.progress.plan.cells
        datasets = list(dict.fromkeys(cell.dataset for cell in cells))
        table = Table("variant", *datasets)
        for variant in dict.fromkeys(cell.variant for cell in cells):
            own = [[c for c in cells if (c.variant, c.dataset) == (variant, name)] for name in datasets]
            table.add_row(variant, *map(self._counts, own))
        return Group(table, self.progress.summary())

    def _counts(self, cells: Sequence[Cell]) -> str:
        done, running, failed = (
            self.progress.count(state, cells=cells) for state in ("done", "running", "failed")
        )
        others = [f"{count} {name}" for count, name in ((running, "running"), (failed, "failed")) if count]
        return ", ".join([f"{done}/{len(cells)}", *others])
