"""The memory that images may take at once, over all threads of the process."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Condition, Lock, local

from mlffm_segdiff.config.errors import UserError

MAX_MEMORY = 1_300_000_000
"""Bytes for images in work; with torch, weights and network the process stays below 2 GB."""

LARGE_MEMORY = 100_000_000
_TURN = Lock()
_CHANGED = Condition()
_reserved = 0


class _Thread(local):
    reserves = False


_THREAD = _Thread()


@contextmanager
def reserved(byte_count: int) -> Iterator[None]:
    """Run a block once the images in work leave it this much memory; more than MAX_MEMORY runs on its own.

    While a block waits for memory, no other starts, so that small images do not hold up a large one forever.

    Raises:
        RuntimeError: The thread is in such a block, and would wait forever for memory that it holds.
    """
    global _reserved
    if _THREAD.reserves:
        raise RuntimeError("blocks of reserved memory must not be nested")
    taken = min(byte_count, MAX_MEMORY)
    with _TURN, _CHANGED:
        _CHANGED.wait_for(lambda: _reserved + taken <= MAX_MEMORY)
        _reserved += taken
    _THREAD.reserves = True
    try:
        if taken > LARGE_MEMORY:
            _release_memory()
        yield
    finally:
        _THREAD.reserves = False
        with _CHANGED:
            _reserved -= taken
            _CHANGED.notify_all()


def require_memory(byte_count: int, name: str, what: str) -> None:
    """Refuse an image that needs too much memory.

    Args:
        byte_count: Memory that the image needs, in bytes.
        name: Name of the file in errors.
        what: Description of the image, for the error.

    Raises:
        UserError: It needs more than MAX_MEMORY.
    """
    if byte_count > MAX_MEMORY:
        raise UserError(
            f"{name} is {what} and needs {byte_count / 1e9:.2f} GB of memory to decode, above the limit of "
            f"{MAX_MEMORY / 1e9:.2f}; shrink it, crop the lesion, or save it as 8-bit PNG"
        )


def _release_memory() -> None:
    """Let glibc return freed memory to the system: each thread's arena would keep a whole image."""
    with suppress(AttributeError, OSError, TypeError):  # macOS has no malloc_trim, Windows no library None
        ctypes.CDLL(None).malloc_trim(0)
