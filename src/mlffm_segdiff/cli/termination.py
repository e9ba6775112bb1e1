"""SIGTERM, as sent by ``timeout``, Slurm and ``docker stop``: a command ends as by Ctrl-C."""

import signal
from types import FrameType

_received: list[int] = []


def interrupt_on_sigterm() -> None:
    """Raise KeyboardInterrupt in the main thread at the first SIGTERM, and ignore further ones."""
    signal.signal(signal.SIGTERM, _interrupt)


def was_terminated() -> bool:
    """Return whether SIGTERM came."""
    return bool(_received)


def _interrupt(number: int, frame: FrameType | None) -> None:
    del frame
    _received.append(number)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt
