"""Paths of a study and of its cells."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlffm_segdiff.config.errors import UserError, reason_of
from mlffm_segdiff.config.paths import expanded
from mlffm_segdiff.evaluation.report import CASES_FILE, SUMMARY_FILE
from mlffm_segdiff.files.claim import claimed
from mlffm_segdiff.training.run_folder import RunFolder

RECORDS = {
    "seconds": int | float,
    "training_seconds": int | float,
    "images": int,
    "resumed": bool,
    "training_code": str,
    "python": str,
    "packages": dict,
}
"""Keys of the record of every finished cell, with their types."""


def training_codes(account: Mapping[str, Any]) -> set[str]:
    """Return the digest of the code that trained a cell, from its record; a set, as of `scoring_codes`."""
    return {account["training_code"]}


def scoring_codes(account: Mapping[str, Any]) -> set[str]:
    """Return the digests of the code that made a cell's scores, from its record."""
    scored = account.get("evaluations", {"all": account})  # older records have one code for all
    return {str(one.get("code")) for one in scored.values()}


@dataclass(frozen=True)
class CellFolder:
    """Paths of one cell."""

    path: Path

    @property
    def run(self) -> RunFolder:
        """The run folder of the training."""
        return RunFolder(self.path / "run")

    @property
    def log(self) -> Path:
        """The output of the training."""
        return self.path / "log.txt"

    @property
    def guard(self) -> Path:
        """File lock of the process that runs the cell."""
        return self.path / "lock"

    @property
    def running(self) -> Path:
        """Exists while the cell runs, and after a process was killed until the study runs again."""
        return self.path / "running.json"

    @property
    def trained(self) -> Path:
        """Written when the weights are complete: the record of the training."""
        return self.path / "trained.json"

    @property
    def finished(self) -> Path:
        """Written last: the record of the cell. A cell with this file is finished."""
        return self.path / "finished.json"

    @property
    def failed(self) -> Path:
        """The error of the last attempt, if it failed."""
        return self.path / "failed.txt"

    def account(self) -> dict[str, Any]:
        """Return the content of finished.json. Raises UserError if it cannot be read or lacks a record."""
        try:
            found: dict[str, Any] = json.loads(self.finished.read_text(encoding="utf-8"))
            if not isinstance(found, dict):
                raise ValueError("it is not a mapping")
            for key, kind in RECORDS.items():
                if not isinstance(found.get(key), kind):
                    raise ValueError(f"{key} is {found.get(key)!r}")
            if not isinstance(found.get("evaluations", {}), dict):
                raise ValueError(f"evaluations is {found['evaluations']!r}")
        except (OSError, ValueError) as error:
            raise UserError(
                f"{self.finished} cannot be read ({reason_of(error)}); delete it and run the study again"
            ) from None
        return found

    @property
    def all_scores(self) -> Path:
        """The folders of the evaluations."""
        return self.path / "scores"

    def scores(self, evaluation: str) -> Path:
        """Return the folder of an evaluation's cases.csv and summary.json."""
        return self.all_scores / evaluation

    def score_files(self, evaluation: str) -> tuple[Path, Path]:
        """Return cases.csv and summary.json of a finished cell. Raises UserError if one is missing."""
        files = self.scores(evaluation) / CASES_FILE, self.scores(evaluation) / SUMMARY_FILE
        for file in files:
            if not file.is_file():
                raise UserError(
                    f"{file} is missing, though its cell is finished; restore it, or run the study again"
                )
        return files

    def scored(self, evaluation: str) -> Path:
        """Return the record of an evaluation: its seconds and its code."""
        return self.scores(evaluation) / "scored.json"


@dataclass(frozen=True)
class StudyFolder:
    """Paths of one study: the request, the plan, the cells and the report."""

    path: Path

    @classmethod
    def of(cls, name: str, path: Path | str | None = None) -> "StudyFolder":
        """Return the folder of the study with this name: ``path``, or studies/NAME."""
        return cls(expanded(path or Path("studies", name)))

    @property
    def study(self) -> Path:
        """The study as requested."""
        return self.path / "study.yaml"

    @property
    def plan(self) -> Path:
        """The plan: packages, threads, and each cell with its full recipe."""
        return self.path / "plan.json"

    @property
    def images(self) -> Path:
        """Contrast and skin tone of the scored images, measured for the report."""
        return self.path / "images.csv"

    @property
    def report(self) -> Path:
        """Tables and figures."""
        return self.path / "report"

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Keep other commands out of the folder. Raises UserError if another command uses it."""
        with claimed(self.path):
            yield

    def cell(self, key: str) -> CellFolder:
        """Return the folder of the cell with this key."""
        return CellFolder(self.path / "cells" / key)
