"""Where a report's tables and figures go, each written whole."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from mlffm_segdiff.data.atomic import atomic_write
from mlffm_segdiff.evaluation.figures import save_figure
from mlffm_segdiff.study.report.page import Picture
from mlffm_segdiff.study.report.table import Table


@dataclass(frozen=True)
class Draft:
    """A report in the making. folder: its own. command: what makes it, named under each figure."""

    folder: Path
    command: str

    def table(self, table: Table) -> Table:
        """Write a table as tables/NAME.csv and .tex, and return it."""
        for ending, text in (("csv", table.csv()), ("tex", table.latex())):
            with atomic_write(self.folder / "tables" / f"{table.name}.{ending}") as path:
                path.write_text(text, encoding="utf-8")
        return table

    def picture(self, name: str, figure: Figure, caption: str) -> Picture:
        """Write a figure as figures/NAME.png, and return it with its caption and the command behind."""
        save_figure(figure, self.folder / "figures" / f"{name}.png")
        return Picture(self.folder, f"figures/{name}.png", f"{caption} Made by: {self.command}")
