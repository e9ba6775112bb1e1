"""The contract of the launchers that run a study's cells."""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch

from mlffm_segdiff.config.errors import one_line
from mlffm_segdiff.data.decoder_warnings import ignore_decoder_warnings
from mlffm_segdiff.machine.processors import processors

Work = Callable[[Path, str], None]
"""Runs one cell: study folder, cell key. A fresh process must be able to import it by name."""


SLURM_AT_ONCE = 256
"""Cells that Slurm runs at the same time unless ``launcher.workers`` says otherwise; submitit's default."""


@dataclass(frozen=True)
class Outcome:
    """How a cell ended.

    Attributes:
        key: Key of the cell.
        error: Why the cell failed, in one line, or None.
    """

    key: str
    error: str | None


class Launcher(Protocol):
    """Runs cells in this process, in other processes or on a cluster."""

    def launch(self, work: Work, study: Path, keys: Sequence[str]) -> Generator[Outcome, None, None]:
        """Run the cells and yield each outcome as soon as it is known.

        A failing cell does not stop the others. Closing the generator and Ctrl-C stop the running cells.

        Args:
            work: Function that runs one cell.
            study: Folder of the study.
            keys: Keys of the cells, in the order to start them.

        Raises:
            UserError: If the launcher itself cannot run.
        """
        ...


def workers_that_fit(threads: int) -> int:
    """Return how many cells with this number of threads each fit on this machine, at least 1."""
    return max(processors() // threads, 1)


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let torch compute with this number of threads while the block runs."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def attempt(work: Work, study: Path, key: str) -> Outcome:
    """Run one cell in this process; an exception becomes the error of the outcome."""
    ignore_decoder_warnings()
    try:
        work(study, key)
    except Exception as error:
        return Outcome(key, one_line(error))
    return Outcome(key, None)
