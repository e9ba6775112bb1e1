"""Cells one after another, here."""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from mlffm_segdiff.study.launchers.base import Outcome, Work, outcome_of


class InProcess:
    """Runs cells one by one in this process. threads: processor threads of torch in a cell."""

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def launch(
        self, work: Work, study: Path, keys: Sequence[str], started: Callable[[str], None]
    ) -> Generator[Outcome, None, None]:
        """Run the cells in the order given. See `Launcher`."""
        study = study.absolute()
        for key in keys:
            started(key)
            with _torch_threads(self.threads):
                outcome = outcome_of(work, study, key)
            yield outcome


@contextmanager
def _torch_threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
