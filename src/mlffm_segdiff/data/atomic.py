"""Atomic writes: files and folders that appear complete or not at all."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlffm_segdiff.config.errors import UserError

BUILDING = ".building-"
"""Prefix of the names of unfinished folders."""


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary file that replaces `path` when the block succeeds.

    If the block fails, `path` is unchanged and nothing is left behind.

    Args:
        path: File to write; missing parent folders are created.

    Yields:
        Temporary path in the same folder, to write to.

    Raises:
        UserError: If `path` cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".part-", dir=path.parent) as folder:
            temporary = Path(folder, path.name)
            yield temporary
            temporary.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from error


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder that becomes `path`, with the umask's permissions, when the block succeeds.

    If `path` exists by then, another process was first, and its folder is kept. If the block fails, nothing
    is left behind.

    Args:
        path: Folder to create; missing parent folders are created.

    Yields:
        Temporary folder, to be filled.

    Raises:
        UserError: If `path` cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            prefix=BUILDING, dir=path.parent, ignore_cleanup_errors=True
        ) as outer:
            building = Path(outer, path.name)
            building.mkdir()
            yield building
            _publish(building, path)
    except OSError as error:
        raise _unwritable(path, error) from error


def _publish(building: Path, path: Path) -> None:
    try:
        building.rename(path)
    except OSError:
        if not path.is_dir():
            raise


def _unwritable(path: Path, error: OSError) -> UserError:
    return UserError(
        f"{path} cannot be written ({error.strerror or error}); "
        "free disk space or choose a folder with write permission"
    )
