"""What a reader does besides reading: writes, programs, connections, memory, time."""

import os
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

SECONDS = 10
MEGABYTES = 1400
"""Memory that one input may add; torch and the rest of the program need 600 MB of the two gigabytes."""
REFUSED_MEGABYTES = 6000
"""Memory beyond which an allocation fails, so that a fault does not take the machine down."""
PROGRAMS = {"subprocess.Popen", "os.exec", "os.system", "os.posix_spawn", "os.spawn", "os.fork", "pty.spawn"}
CONNECTIONS = {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "http.client.connect"}
CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.symlink", "os.link", "os.truncate", "os.chmod"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT

_watching: list[tuple[Path, list[str]]] = []
_hooked: list[bool] = []


class TooSlowError(BaseException):
    """A read took more than SECONDS. Not an Exception, so that no reader handles it."""


@contextmanager
def watched(outputs: Path) -> Iterator[list[str]]:
    """Yield the list of what a block did that it must not do; it may only write below `outputs`.

    The block, in the main thread, is interrupted after SECONDS.
    """
    if not _hooked:
        sys.addaudithook(_note)
        _hooked.append(True)
    faults: list[str] = []
    before = _reset_peak()
    handler = signal.signal(signal.SIGALRM, _interrupt)
    _watching.append((outputs.resolve(), faults))
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield faults
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        _watching.clear()
        grown = memory("VmHWM") - before
        if grown > MEGABYTES:
            faults.append(f"memory grew by more than {MEGABYTES} MB")


@contextmanager
def bounded_memory() -> Iterator[None]:
    """Let allocations beyond REFUSED_MEGABYTES fail while the block runs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    most = (memory("VmData") + REFUSED_MEGABYTES) * 2**20
    resource.setrlimit(resource.RLIMIT_DATA, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def memory(field: str) -> int:
    """Return a field of /proc/self/status in megabytes, such as VmHWM, the peak of the resident memory."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) // 1024
    raise LookupError(field)


def _reset_peak() -> int:
    """Restart the measurement of the peak and return the resident memory in megabytes."""
    Path("/proc/self/clear_refs").write_text("5")
    return memory("VmRSS")


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise TooSlowError


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watching:
        return
    outputs, faults = _watching[-1]
    if event in PROGRAMS:
        faults.append(f"starts a program ({event})")
    elif event in CONNECTIONS:
        faults.append(f"connects ({event})")
    elif (event == "open" and _writes(*arguments[1:3])) or event == "os.mkdir":
        if isinstance(arguments[0], int) or not Path(os.fsdecode(arguments[0])).is_dir():  # changes nothing
            _check_place(arguments[0], outputs, faults)
    elif event in CHANGES and -1 in arguments[1:]:  # with a folder's descriptor, paths are relative to it
        for path in arguments[: 2 if event == "os.rename" else 1]:
            _check_place(path, outputs, faults)


def _writes(mode: str | None, flags: int) -> bool:
    return bool(flags & WRITING) if mode is None else any(letter in mode for letter in "wax+")


def _check_place(path: Any, outputs: Path, faults: list[str]) -> None:
    if isinstance(path, int):
        return
    place = Path(os.path.abspath(os.fsdecode(path)))  # noqa: PTH100  resolve() would open files
    harmless = "__pycache__" in place.parts or place == Path(os.devnull)
    if not (place.is_relative_to(outputs) or harmless):
        faults.append(f"writes outside the output folder ({place})")
