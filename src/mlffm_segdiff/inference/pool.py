"""Threads that read and write while the network works, and an ordered stream through them."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from contextlib import AbstractContextManager
from typing import TypeVar

from mlffm_segdiff.data.image_memory import reserved
from mlffm_segdiff.machine.processors import processors

MIN_HELPERS, MAX_HELPERS = 2, 8
RESULT_BYTES = 14
"""Bytes per pixel of an image while its mask and outputs are made."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def helper_count(network_threads: int) -> int:
    """Return the number of threads that read images: the processors that the network leaves free.

    As each holds an image, there are MIN_HELPERS to MAX_HELPERS.
    """
    return min(max(MIN_HELPERS, processors() - network_threads), MAX_HELPERS)


def in_order(
    pool: Executor, work: Callable[[Item], Result], items: Iterable[Item], ahead: int
) -> Iterator[Result]:
    """Map over items in the pool, results in order, with at most `ahead` items submitted and not consumed."""
    pending: deque[Future[Result]] = deque()
    try:
        for item in items:
            pending.append(pool.submit(work, item))
            if len(pending) >= ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:  # after a fault or Ctrl-C
        for future in pending:
            future.cancel()


def result_memory(pixels: int) -> AbstractContextManager[None]:
    """Run a block that makes the result and outputs of an image, once there is memory for them."""
    return reserved(RESULT_BYTES * pixels)
