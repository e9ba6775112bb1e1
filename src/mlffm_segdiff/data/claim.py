"""One writer at a time for a folder: a lock that ends with the process that holds it."""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.atomic import sweep_unfinished, unwritable

LOCK = ".lock"
"""Name of the lock's file, which stays in the folder and names the last holder."""


@contextmanager
def claimed(folder: Path, fix: str) -> Iterator[None]:
    """Keep other processes from claiming a folder until the block ends.

    What killed processes left unfinished in it is removed first. The operating system releases the lock of a
    process that ends, however it ends. A folder that did not
    exist and that the block leaves empty is removed.

    Args:
        folder: Created if it does not exist.
        fix: What to do while another process holds the folder, for the error.

    Raises:
        UserError: Another process holds the folder, or nothing can be written into it.
    """
    path, created = (
        folder / LOCK,
        [
            one
            for one in (folder, *folder.parents)
            if not os.path.exists(one)  # noqa: PTH110, pathlib raises for long names
        ],
    )
    with _locked(folder, fix):
        try:
            with suppress(OSError):  # on a full disk the lock holds as well
                path.write_text(f"process {os.getpid()} on {platform.node()}", encoding="utf-8")
            sweep_unfinished(folder)
            yield
        finally:
            with suppress(OSError):
                if created and [one.name for one in folder.iterdir()] == [LOCK]:
                    path.unlink()
                for one in created:
                    one.rmdir()


def require_free(folder: Path, fix: str) -> None:
    """Raise UserError if another process holds a folder, as `claimed` does; change nothing."""
    if os.path.isfile(folder / LOCK):  # noqa: PTH113
        with _locked(folder, fix):
            pass


@contextmanager
def _locked(folder: Path, fix: str) -> Iterator[None]:
    lock = FileLock(folder / LOCK)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(f"{folder} is in use by {_holder(folder / LOCK)}; {fix}") from None
    except OSError as error:
        raise unwritable(folder, error) from error
    try:
        yield
    finally:
        lock.release()


def _holder(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8") or "another process"
    except (OSError, UnicodeDecodeError):
        return "another process"
