"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlffm_segdiff.config.errors import UserError

BUILDING = ".building-"
"""How the names of unfinished folders begin."""


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Give a temporary sibling to write to; it takes the place of `path` when the block ends well.

    Missing folders are made. Where the block fails, `path` is as it was and nothing is left behind.
    Raises UserError naming `path` where it cannot be written.
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
    """Give a temporary folder to fill; it becomes `path`, with the umask's rights, when the block ends well.

    Where `path` exists by then, another process was first and its folder stays. Missing folders above are
    made, and nothing is left behind where the block fails. Raises UserError naming `path` where it cannot
    be written.
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
        "free disk space or choose a folder you may write to"
    )
