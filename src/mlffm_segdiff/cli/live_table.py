"""How far a study is, on the terminal: one table that stays in place; elsewhere, one line a cell."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

from mlffm_segdiff.study.cells import Cell
from mlffm_segdiff.study.tally import Tally, duration


@dataclass(frozen=True)
class LiveTable:
    """Draws a tally: a row a variant, a column a data set."""

    tally: Tally
    console: Console

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Keep the table on the terminal until the block ends."""
        if not self.console.is_terminal:
            self.console.print(self.summary(), soft_wrap=True)
            yield
            return
        with Live(console=self.console, get_renderable=self.draw, refresh_per_second=2):
            yield

    def tell(self, cell: Cell, error: str | None) -> None:
        """Say that a cell ended; a failure also above a live table, where it stays."""
        state = self.tally.states[cell.key]
        if state == "running" or (self.console.is_terminal and error is None):
            return
        took = duration(self.tally.seconds.get(cell.key))
        how = f"failed: {error}" if error is not None else f"done in {took}"
        self.console.print(f"{cell.key} {cell}: {how}; {self.summary()}", soft_wrap=True)

    def draw(self) -> Group:
        """Return the table as it is now, with the summary under it."""
        table = Table("variant")
        for dataset in dict.fromkeys(cell.dataset for cell in self.tally.cells):
            table.add_column(dataset)
        for variant, row in _grid(self.tally.cells).items():
            table.add_row(variant, *(self._progress(cells) for cells in row.values()))
        return Group(table, self.summary())

    def summary(self) -> str:
        """Return the counts over all cells, and the time left."""
        tally = self.tally
        done, running, failed = (tally.count(state) for state in ("done", "running", "failed"))
        left = tally.count("waiting", "running")
        time = f", time left {duration(tally.seconds_left())}" if left else ""
        return f"{done} of {len(tally.cells)} cells done, {running} running, {failed} failed{time}"

    def _progress(self, cells: list[Cell]) -> str:
        done, running, failed = (
            self.tally.count(state, cells=cells) for state in ("done", "running", "failed")
        )
        more = [f"{count} {name}" for count, name in ((running, "running"), (failed, "failed")) if count]
        return ", ".join([f"{done}/{len(cells)}", *more])


def _grid(cells: Sequence[Cell]) -> dict[str, dict[str, list[Cell]]]:
    """Return the cells by variant and data set."""
    grid: dict[str, dict[str, list[Cell]]] = {}
    for cell in cells:
        grid.setdefault(cell.variant, {}).setdefault(cell.dataset, []).append(cell)
    return grid
