"""Where a study keeps what."""

from dataclasses import dataclass
from pathlib import Path

from mlffm_segdiff.training.run_folder import RunFolder


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

    def cell(self, key: str) -> CellFolder:
        """Return the folder of the cell with this key."""
        return CellFolder(self.path / "cells" / key)
