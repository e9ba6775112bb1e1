"""Threads that read and write while the network works, and an ordered stream through them."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from threading import Barrier
from typing import TypeVar

import torch

from mlffm_segdiff.data.image_memory import reserved
from mlffm_segdiff.data.processors import processors

FEWEST, MOST = 2, 8
START_SECONDS = 60
RESULT_BYTES = 14
"""Bytes per pixel of an image while its mask and outputs are made."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def helper_count() -> int:
    """Return the number of processors that torch leaves free, FEWEST to MOST: each thread holds an image."""
    return min(max(FEWEST, processors() - torch.get_num_threads()), MOST)


@contextmanager
def helping_threads(count: int) -> Iterator[Executor]:
    """Yield a pool of `count` threads in which torch uses one thread; the caller's number is kept.

    OpenMP starts a separate team for every thread that calls torch. Once the teams outnumber the processors,
    all of them sleep while they wait, the network's too, and its many short steps lose time to waking up.
    """
    threads = torch.get_num_threads()
    started = Barrier(count + 1, timeout=START_SECONDS)

    def start() -> None:
        torch.get_num_threads()  # sets torch up in this thread; later it would undo the next line
        torch.set_num_threads(1)
        started.wait()

    with ThreadPoolExecutor(count) as pool:
        for _ in range(count):
            pool.submit(start)
        started.wait()
        torch.set_num_threads(threads)
        yield pool


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
