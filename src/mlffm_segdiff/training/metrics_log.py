"""The log of a run's metrics, complete after interruptions."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger

from mlffm_segdiff.config.errors import UserError, reason_of
from mlffm_segdiff.files.atomic import atomic_write


class MetricsLog(Logger):
    """Writes one CSV row per call, atomically; Lightning's CSVLogger deletes the file when a run is resumed.

    A resumed run keeps the rows before its first one (by ``step``, the zero-based number of the last
    optimizer step) and replaces the later ones.

    Args:
        path: The CSV file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self._started = False

    @property
    def name(self) -> str:
        """Name of the logger."""
        return "metrics"

    @property
    def version(self) -> str:
        """Version of the logger: there is one log per run."""
        return ""

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Ignore hyperparameters: config.yaml has them."""

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Add a row; new columns are added to the file."""
        rows = read_rows(self.path)
        if not self._started:
            rows = [row for row in rows if int(row["step"]) < step]
            self._started = True
        rows.append({**{name: str(value) for name, value in metrics.items()}, "step": str(step)})
        columns = sorted({name for row in rows for name in row})
        with atomic_write(self.path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a metrics file, with "" for missing values; [] if the file does not exist.

    Raises:
        UserError: The file is damaged.
    """
    if not path.is_file():
        return []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        for row in rows:
            int(row["step"])
            [float(value) for value in row.values() if value]
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise UserError(f"{path} is damaged ({reason_of(error)}); restore or delete it") from None
    return rows
