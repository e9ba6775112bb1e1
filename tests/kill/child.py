"""Work in a forked child, which starts warm, and its end by a signal at a chosen moment."""

import os
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

Work = Callable[[], object]

MOMENTS = {
    "open",
    "os.mkdir",
    "os.rename",
    "os.remove",
    "os.rmdir",
    "os.truncate",
    "os.listdir",
    "os.scandir",
}
"""What counts as a moment: each event of Python's audit about files."""
REACHED, FINISHED = b"!", b"."
BROKEN = 70
LONGEST_WAIT = 1.0


@dataclass(frozen=True)
class Kill:
    """When and how a child is ended.

    Attributes:
        moment: Events about files before it, counted from the start of the work.
        pause: Seconds after the event; 0 stops the child at the event until the signal is there.
        signal: SIGKILL or SIGTERM.
    """

    moment: int
    pause: float
    signal: signal.Signals


@dataclass(frozen=True)
class Ended:
    """The end of a child.

    Attributes:
        status: Exit status, or minus the signal.
        moments: Events about files; only of a child that was not killed.
    """

    status: int
    moments: int


def run_in_child(work: Work, log: Path, kill: Kill | None = None) -> Ended:
    """Run work in a forked child to its end, or until it is killed, and return how it ended.

    The work's result is the exit status, as is the code of SystemExit; None is 0.

    Args:
        work: What the child does.
        log: Receives what the child prints.
        kill: When to end it; None never. A child that is faster ends by itself.
    """
    here, there = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(here)
        _work(work, log, there, kill)
    os.close(there)
    with open(here, "rb", buffering=0) as pipe:  # noqa: PTH123  a descriptor
        heard = pipe.read(1)
        if kill is not None and heard == REACHED:
            time.sleep(kill.pause)
            with suppress(ProcessLookupError):
                os.kill(child, kill.signal)
        text = (heard + pipe.readall()).lstrip(REACHED)
    _, status = os.waitpid(child, 0)
    moments = int(text.removeprefix(FINISHED) or 0) if text.startswith(FINISHED) else 0
    return Ended(os.waitstatus_to_exitcode(status), moments)


def import_all(names: Iterable[str]) -> None:
    """Import modules, so that children start warm and are not killed while they import."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in names:
            with suppress(Exception):
                import_module(name)


def _work(work: Work, log: Path, there: int, kill: Kill | None) -> None:
    """Do the work in the child, which never returns to the caller."""
    status = BROKEN
    try:
        with log.open("ab", buffering=0) as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1) for number in (1, 2))
        count = _count_moments(there, kill)
        found: Any = work()
        status = found if isinstance(found, int) else 0
        os.write(there, FINISHED + str(count()).encode())
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        os.write(there, FINISHED + str(count()).encode())
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _count_moments(there: int, kill: Kill | None) -> Callable[[], int]:
    """Count events about files, and report the one at which to kill."""
    seen = [0]

    def note(event: str, _: tuple[Any, ...]) -> None:
        if event in MOMENTS:
            seen[0] += 1
            if kill is not None and seen[0] == kill.moment:
                os.write(there, REACHED)
                if not kill.pause:
                    time.sleep(LONGEST_WAIT)

    sys.addaudithook(note)
    return lambda: seen[0]
