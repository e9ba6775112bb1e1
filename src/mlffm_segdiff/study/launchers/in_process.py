"""Runs cells one after another in this process."""

from collections.abc import Generator, Sequence
from pathlib import Path

from mlffm_segdiff.study.launchers.base import Outcome, Work, attempt, torch_threads


class InProcess:
    """Runs cells one after another in this process.

    Args:
        threads: Number of torch threads while a cell runs.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def launch(self, work: Work, study: Path, keys: Sequence[str]) -> Generator[Outcome, None, None]:
        """Run the cells in the given order. See `Launcher.launch`."""
        study = study.absolute()
        for key in keys:
            with torch_threads(self.threads):
                outcome = attempt(work, study, key)
            yield outcome
