"""How functions show their progress: the types of callbacks."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

Progress = Callable[[int, int], None]
"""Called with (done, total)."""

ShowProgress = Callable[[str], AbstractContextManager[Progress]]
"""Shows the progress of a labelled step while its block runs."""

ShowStatus = Callable[[str], AbstractContextManager[object]]
"""Shows the label of a step, whose length is not known, while its block runs."""


@contextmanager
def no_progress(label: str) -> Iterator[Progress]:
    """Show no progress."""
    del label
    yield _ignore


def _ignore(done: int, total: int) -> None:
    del done, total
