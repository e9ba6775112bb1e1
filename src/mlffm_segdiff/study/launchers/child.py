"""A process of this program's own, which cannot outlive it."""

import faulthandler
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Thread
from typing import Generic, TypeVar

SPAWN = get_context("spawn")
POLL_SECONDS = 0.5
END_SECONDS = 20

Message = TypeVar("Message")


class Child(Generic[Message]):
    """A fresh process that runs `work(send)`; `send` brings a message here, and what it prints goes to `log`.

    It leads a process group, which the terminal's Ctrl-C does not reach. The group ends with `stop`, and also
    when this process dies of whatever.
    """

    def __init__(self, work: Callable[[Callable[[Message], None]], None], log: Path) -> None:
        self.receiver, sender = SPAWN.Pipe(duplex=False)
        self._process = SPAWN.Process(target=_begin, args=(work, sender, log))
        self._process.start()
        sender.close()

    def messages(self) -> Iterator[Message]:
        """Wait for messages and yield them, until the process ends.

        Its end shows by the process, not by the pipe alone, which processes of its own may hold open.
        """
        message, alive = None, True
        while message is not None or alive:
            alive, message = self.is_alive(), self.take(POLL_SECONDS)
            if message is not None:
                yield message

    def take(self, seconds: float = 0) -> Message | None:
        """Return the next message if one is here within so many seconds."""
        with suppress(EOFError):
            if self.receiver.poll(seconds):
                message: Message = self.receiver.recv()
                return message
        return None

    def is_alive(self) -> bool:
        """Return whether the process still runs."""
        return self._process.is_alive()

    def how_it_ended(self) -> str:
        """Return in words how the process ended, waiting for its end if that is near."""
        self.join()
        status = self._process.exitcode
        if status is None:
            return "did not end"
        if status >= 0:
            return f"ended with exit status {status}"
        name = signal.Signals(-status).name
        return f"was killed by {name}" + (", as when memory runs out" if name == "SIGKILL" else "")

    def ask_to_end(self) -> None:
        """Send SIGTERM to the process alone."""
        self._process.terminate()

    def join(self) -> None:
        """Give the process END_SECONDS to end by itself."""
        self._process.join(END_SECONDS)

    def stop(self) -> None:
        """End what is left of the process and of its group, at once."""
        assert self._process.pid is not None
        with suppress(ProcessLookupError):  # no such group: all of it ended, or it has hardly begun
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        self._process.join()
        self.receiver.close()


def _begin(work: Callable[[Callable[[Message], None]], None], sender: Connection, log: Path) -> None:
    os.setpgrp()
    Thread(target=_die_with_parent, daemon=True).start()
    _write_output_to(log)
    faulthandler.enable()
    work(sender.send)


def _die_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os.killpg(0, signal.SIGKILL)


def _write_output_to(log: Path) -> None:
    """Append all that this process prints from now on, C libraries' lines too, to a file."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as file:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
