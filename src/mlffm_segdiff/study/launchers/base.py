"""What every engine that runs a study's cells takes and gives."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mlffm_segdiff.config.errors import UserError

Work = Callable[[Path, str], None]
"""Runs the cell with this key of the study in this folder; importable by its name in a fresh process."""


@dataclass(frozen=True)
class Outcome:
    """How the cell `key` ended: `error` is None where it finished, else one line that says why not."""

    key: str
    error: str | None


class Launcher(Protocol):
    """An engine that runs cells: here, in processes of this machine, or on a cluster."""

    def launch(
        self, work: Work, study: Path, keys: Sequence[str], started: Callable[[str], None]
    ) -> Generator[Outcome, None, None]:
        """Run the cells, in the order given as far as the engine allows; yield each as it ends.

        `started` is told each key when its cell begins. A cell that fails is an Outcome and the others go on.
        Closing the iterator, an exception in its consumer and Ctrl-C end the cells that still run.
        Raises UserError where the engine itself cannot work.
        """
        ...


def outcome_of(work: Work, study: Path, key: str) -> Outcome:
    """Do the work in this process; an exception becomes the Outcome's error."""
    try:
        work(study, key)
    except Exception as error:
        return Outcome(key, one_line(error))
    return Outcome(key, None)


def one_line(error: BaseException) -> str:
    """Return the error's first line with its type, or a UserError's message alone."""
    message = next(iter(str(error).strip().splitlines()), "")
    if isinstance(error, UserError):
        return message
    return f"{type(error).__name__}: {message}" if message else type(error).__name__
