"""Where a study keeps what."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.training.run_folder import RunFolder

ORPHANS_SECONDS = 15
"""For so long a killed command's data workers may live on, and with them its claim on the folder."""


@dataclass(frozen=True)
class CellFolder:
    """Paths of one cell."""

    path: Path

    @property
    def run(self) -> RunFolder:
        """What training writes."""
        return RunFolder(self.path / "run")

    @property
    def log(self) -> Path:
        """What training says."""
        return self.path / "log.txt"

    @property
    def guard(self) -> Path:
        """Locked by the process that runs the cell; free when that process is gone."""
        return self.path / "lock"

    @property
    def trained(self) -> Path:
        """Written when the weights are whole: what training took."""
        return self.path / "trained.json"

    @property
    def finished(self) -> Path:
        """Written last: what the cell took, and what ran it. A cell is finished if this is here."""
        return self.path / "finished.json"

    @property
    def failed(self) -> Path:
        """Why the last try failed."""
        return self.path / "failed.txt"

    def record(self) -> dict[str, Any]:
        """Return what finished.json says. Raises UserError where it cannot be read."""
        try:
            found: dict[str, Any] = json.loads(self.finished.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UserError(
                f"{self.finished} cannot be read ({error}); delete it and run the study again"
            ) from None
        return found

    def scores(self, evaluation: str) -> Path:
        """Return the folder of an evaluation's cases.csv and summary.json."""
        return self.path / "scores" / evaluation


@dataclass(frozen=True)
class StudyFolder:
    """Paths of one study: what was asked, the exact plan, the cells, the report."""

    path: Path

    @property
    def study(self) -> Path:
        """The study as it was asked for."""
        return self.path / "study.yaml"

    @property
    def lock(self) -> Path:
        """The plan: the code, the packages, and each cell with its full recipe."""
        return self.path / "study.lock"

    @property
    def report(self) -> Path:
        """Tables and figures."""
        return self.path / "report"

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Keep other commands out while this one plans or runs. Raises UserError where one is at work."""
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.path / ".lock", timeout=ORPHANS_SECONDS):
                yield
        except Timeout:
            raise UserError(
                f"another command works on {self.path}; wait for it, stop it, or choose another -o"
            ) from None

    def cell(self, key: str) -> CellFolder:
        """Return the folder of the cell with this key."""
        return CellFolder(self.path / "cells" / key)
