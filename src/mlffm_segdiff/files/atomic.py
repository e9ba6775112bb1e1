"""Atomic writes: files and folders that appear complete or not at all."""

from __future__ import annotations

import errno
import io
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mlffm_segdiff.config.errors import UserError

if sys.platform != "win32":
    import fcntl

PART, BUILDING = ".part-", ".building-"
"""Prefixes of the names of temporary folders, which hold an unfinished file and an unfinished folder."""
NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Error numbers of a full disk, a quota and a limit of file sizes."""

TEMPORARY = re.compile(rf"({re.escape(PART)}|{re.escape(BUILDING)})[a-z0-9_]{{8}}")
"""Their names."""
_STALE_SECONDS = 24 * 3600
_ATTEMPTS = 20


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary file that replaces `path` when the block succeeds, after it has reached the disk.

    If the block fails, `path` is unchanged and nothing is left behind; `sweep_unfinished` removes what a
    killed process leaves. What does not report its write errors, such as an image encoder, must write to
    memory first, or to a file of `open_checked`.

    Args:
        path: File to write; missing parent folders are created.

    Yields:
        Temporary path in the same folder, to write to.

    Raises:
        UserError: If `path` cannot be written.
    """
    try:
        with _temporary_folder(path.parent, PART) as folder:
            temporary = folder / path.name
            yield temporary
            _sync(temporary)
            temporary.replace(path)
    except OSError as error:
        raise unwritable(path, error) from error


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    """Write a file atomically.

    Args:
        path: File to write.
        content: Content of the file.

    Raises:
        UserError: If `path` cannot be written.
    """
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)


def open_checked(path: Path) -> io.BufferedWriter:
    """Open a file for an encoder of images, so that what does not fit on the disk is an OSError.

    Given a file with a descriptor, Pillow's encoders write past Python, and silently lose them.
    """
    return io.BufferedWriter(_NoDescriptor(path, "w"))


def write_text(path: Path, text: str) -> None:
    """Write a file in UTF-8 atomically; bytes of file names in another encoding become backslashes.

    Args:
        path: File to write.
        text: Content of the file.

    Raises:
        UserError: If `path` cannot be written.
    """
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def write_parts(path: Path, parts: Iterable[str]) -> None:
    """Write texts one after another into a file in UTF-8, atomically.

    Args:
        path: File to write.
        parts: Texts in their order.

    Raises:
        UserError: If `path` cannot be written.
    """
    with atomic_write(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.writelines(parts)


@contextmanager
def atomic_folder(path: Path, fix: str | None = None) -> Iterator[Path]:
    """Yield a temporary folder that becomes `path`, with the umask's permissions, when the block succeeds.

    If `path` exists by then, another process was first, and its folder is kept. If the block fails, nothing
    is left behind; the next use in the same parent folder removes what a killed process left.

    Args:
        path: Folder to create; missing parent folders are created.
        fix: Hint if it cannot be written; by default it depends on the cause.

    Yields:
        Temporary folder, to be filled.

    Raises:
        UserError: If `path` cannot be written.
    """
    sweep_unfinished(path.parent)
    try:
        with _temporary_folder(path.parent, BUILDING) as outer:
            building = outer / path.name
            building.mkdir()
            yield building
            for file in building.rglob("*"):
                if file.is_file():
                    _sync(file)
            _publish(building, path)
    except OSError as error:
        raise unwritable(path, error, fix) from error


def require_writable_file(path: Path) -> None:
    """Raise UserError, before long work, if a file could not be written at a path; leave nothing behind."""
    if path.is_dir():
        raise unwritable(path, IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR)))
    _try_folder(path.parent, path)


def require_writable_folder(folder: Path) -> None:
    """Raise UserError, before long work, if nothing could be written into a folder; leave nothing behind.

    The folder need not exist; then the one in which it would be created is tried.
    """
    _try_folder(folder, folder)


def unwritable(path: Path, error: OSError, fix: str | None = None) -> UserError:
    """Return the error of a file or folder that cannot be written: its name, the cause and the fix.

    Args:
        path: File or folder.
        error: Error of the attempt.
        fix: Hint for the user; by default it depends on the cause.
    """
    in_the_way = error.errno in (errno.EEXIST, errno.ENOTDIR)
    folders = (path, *path.parents) if in_the_way else path.parents
    for folder in folders:
        if os.path.exists(folder) and not os.path.isdir(folder):  # noqa: PTH110, PTH112, never raise
            return UserError(
                f"{path} cannot be written: {folder} is a file, not a folder; choose another folder"
            )
    return UserError(f"{path} cannot be written ({error.strerror or error}); {fix or _fix(error)}")


def sweep_unfinished(folder: Path) -> None:
    """Remove the temporary files and folders that killed processes left directly in a folder.

    Call it when a command starts to write into `folder`, once for each folder that `atomic_write` puts
    something into: for a run folder, the folder itself and its ``checkpoints``.

    It is safe while other processes and threads write to the same folder: a writer holds a lock on its
    temporary folder until it ends, however it ends. Where the file system has no locks, temporary folders
    are removed after a day. Only folders with the names that this module gives are touched, and errors are
    ignored.

    Args:
        folder: Searched without its subfolders; it need not exist.
    """
    with suppress(OSError):
        for leftover in [path for path in folder.iterdir() if TEMPORARY.fullmatch(path.name)]:
            if leftover.is_dir() and not leftover.is_symlink():
                _remove_unless_in_use(leftover)


@contextmanager
def try_lock(folder: Path) -> Iterator[bool | None]:
    """Lock a folder until the block ends; yields False if it is locked, None if locks are not supported."""
    if sys.platform == "win32":
        yield None
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        yield False
        return
    try:
        yield _locked(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def working_folder(parent: Path) -> Iterator[Path]:
    """Yield a folder that only this user can read, and remove it in the end.

    It is locked, so that `sweep_unfinished` removes it from `parent` once a killed process has left it.
    """
    with _temporary_folder(parent, BUILDING) as folder:
        yield folder


def _try_folder(folder: Path, path: Path) -> None:
    """Write into a folder, or the nearest one above that exists. Raises UserError about the path."""
    existing = next(one for one in (folder, *folder.parents) if os.path.lexists(one))
    try:
        with _temporary_folder(existing, PART):
            pass
    except OSError as error:
        raise unwritable(path, error) from error


@contextmanager
def _temporary_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """Yield a locked new folder, and remove it in the end."""
    while True:
        with _new_folder(parent, prefix) as name:
            folder = Path(name)
            with try_lock(folder) as locked:
                if locked is not False and folder.is_dir():
                    yield folder
                    return
        # a sweep took the folder between its creation and its lock


def _new_folder(parent: Path, prefix: str) -> tempfile.TemporaryDirectory[str]:
    """Create a folder in ``parent``, which another thread may remove while it is empty."""
    attempts = 0
    while True:
        attempts += 1
        try:
            parent.mkdir(parents=True, exist_ok=True)
            return tempfile.TemporaryDirectory(prefix=prefix, dir=parent, ignore_cleanup_errors=True)
        except (FileExistsError, FileNotFoundError):
            if attempts == _ATTEMPTS:
                raise


def _remove_unless_in_use(folder: Path) -> None:
    with suppress(OSError), try_lock(folder) as locked:
        old = time.time() - folder.stat().st_mtime > _STALE_SECONDS
        if locked or (locked is None and old):
            shutil.rmtree(folder, ignore_errors=True)


def _locked(descriptor: int) -> bool | None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


class _NoDescriptor(io.FileIO):
    def fileno(self) -> int:
        raise io.UnsupportedOperation("fileno")


def _sync(file: Path) -> None:
    """Wait until a file's content is on the disk, so that a power cut cannot leave an empty file."""
    with file.open("r+b") as opened:
        os.fsync(opened.fileno())


def _publish(building: Path, path: Path) -> None:
    try:
        building.rename(path)
    except OSError:
        if not path.is_dir():
            raise


def _fix(error: OSError) -> str:
    if error.errno == errno.EISDIR:
        return "a folder has this name: remove it or choose another folder"
    if error.errno == errno.ENAMETOOLONG:
        return "choose a shorter name or folder"
    if error.errno in NO_SPACE:
        return "free disk space or choose a folder on another disk"
    return "choose a folder with write permission and free disk space"
