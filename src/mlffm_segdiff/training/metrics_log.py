"""The numbers of a run, kept through interruptions."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger

from mlffm_segdiff.data.atomic import atomic_write


class MetricsLog(Logger):
    """A CSV with one row for each call, columns as they come; the file is whole at any moment.

    A run that goes on keeps the rows before its first one (by ``step``, the zero-based number of the last
    optimiser step) and drops what an interrupted run had written from there on.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self._begun = False

    @property
    def name(self) -> str:
        """The name under which Lightning knows this log."""
        return "metrics"

    @property
    def version(self) -> str:
        """There is one a run."""
        return ""

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Ignore them: config.yaml has them all."""

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Add a row."""
        rows = read_rows(self.path)
        if not self._begun:
            rows = [row for row in rows if int(row["step"]) < step]
            self._begun = True
        rows.append({**{name: str(value) for name, value in metrics.items()}, "step": str(step)})
        columns = sorted({name for row in rows for name in row})
        with atomic_write(self.path) as temporary, temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a metrics file, an empty string where a row lacks a column; none without a file."""
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))
