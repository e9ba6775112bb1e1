"""One command at a time in a folder: locks that end with the process that holds them."""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.files.atomic import sweep_unfinished, try_lock, unwritable

LOCK = ".lock"
"""Name of the lock's file, which stays in the folder and names the last holder."""


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Keep other processes from claiming a folder until the block ends.

    What killed processes left unfinished in it is removed first. The operating system releases the lock of a
    process that ends, however it ends. A folder that did not exist and that the block leaves empty is
    removed.

    Args:
        folder: Created if it does not exist.

    Raises:
        UserError: Another process holds the folder, or nothing can be written into it.
    """
    path = folder / LOCK
    created = [one for one in (folder, *folder.parents) if not os.path.exists(one)]  # noqa: PTH110, never raise
    with _locked(folder):
        try:
            with suppress(OSError):  # the lock also holds on a full disk
                path.write_text(f"process {os.getpid()} on {platform.node()}", encoding="utf-8")
            sweep_unfinished(folder)
            yield
        finally:
            with suppress(OSError):
                if created and [one.name for one in folder.iterdir()] == [LOCK]:
                    path.unlink()
                for one in created:
                    one.rmdir()


@contextmanager
def claimed_results(folder: Path) -> Iterator[None]:
    """Keep other processes from claiming a folder of results until the block ends; leave no file in it.

    The folder itself is locked, which Windows cannot do.

    Args:
        folder: Created if it does not exist.

    Raises:
        UserError: Another process holds the folder, or it cannot be created.
    """
    _make(folder)
    with try_lock(folder) as locked:
        if locked is False:
            raise _in_use(folder, "another command")
        yield


def require_free(folder: Path) -> None:
    """Raise UserError if another process holds a folder, as `claimed` does; change nothing."""
    if os.path.isfile(folder / LOCK):  # noqa: PTH113
        with _locked(folder):
            pass


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    lock = FileLock(folder / LOCK)
    _make(folder)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise _in_use(folder, _holder(folder / LOCK)) from None
    except OSError as error:
        raise unwritable(folder, error) from error
    try:
        yield
    finally:
        lock.release()


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from error


def _in_use(folder: Path, holder: str) -> UserError:
    return UserError(f"{holder} is using {folder}; wait for it, stop it, or choose another folder")


def _holder(path: Path) -> str:
    try:
        process = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        process = ""
    return f"another command ({process})" if process else "another command"
