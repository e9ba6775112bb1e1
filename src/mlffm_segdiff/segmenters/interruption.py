"""Sampling that stops between two steps when its result is no longer wanted."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_WANTED: ContextVar[Callable[[], bool]] = ContextVar("wanted", default=lambda: True)


class InterruptedSamplingError(Exception):
    """The result is no longer wanted."""


@contextmanager
def sampling_while(wanted: Callable[[], bool]) -> Iterator[None]:
    """Let sampling in the block, and in its thread, stop before the next step once `wanted` returns False.

    It then raises InterruptedSamplingError.
    """
    token = _WANTED.set(wanted)
    try:
        yield
    finally:
        _WANTED.reset(token)


def stop_if_unwanted() -> None:
    """Raise InterruptedSamplingError if the result is no longer wanted; see `sampling_while`."""
    if not _WANTED.get()():
        raise InterruptedSamplingError
