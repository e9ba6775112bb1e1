"""A folder of results that a command fills, and that its next run replaces without touching other files."""

import json
import os
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path, PurePath

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.paths import expanded
from mlffm_segdiff.files.atomic import require_writable_file, require_writable_folder, sweep_unfinished


def require_own(folder: Path, files: Iterable[str], own: Collection[str]) -> None:
    """Raise UserError if a run could not write its files, or would overwrite others than an earlier run's.

    Args:
        folder: Folder of the results.
        files: Paths to be written, relative to the folder.
        own: Paths that an earlier run lists as its files, relative to the folder.
    """
    require_writable_folder(folder)
    for name in files:
        path = folder / name
        if name not in own and os.path.lexists(path):
            raise UserError(
                f"{path} exists, but no earlier run wrote it; move it, or choose another output folder"
            )


def require_outside(folder: Path, inputs: Iterable[Path]) -> None:
    """Refuse to write results among the masks or images that they are made from.

    Args:
        folder: Folder of the results.
        inputs: Folders of masks or images.

    Raises:
        UserError: The folder is one of the inputs, or in one of them.
    """
    for given in inputs:
        if expanded(folder).resolve().is_relative_to(expanded(given).resolve()):
            raise UserError(
                f"{folder} is the folder of masks or images {given}, or in it; choose another output folder"
            )


def require_own_file(path: Path, start: str) -> None:
    """Raise UserError if a file cannot be written, or exists and is not one of an earlier run.

    Args:
        path: The file.
        start: First characters of the files of the command.
    """
    require_writable_file(path)
    if path.exists():
        with path.open("rb") as file:
            if file.read(len(start)) != start.encode():
                raise UserError(f"{path} exists, but no earlier run wrote it; choose another name")


def listed_files(facts: Path) -> list[str]:
    """Return the ``files`` that a JSON file of an earlier run lists; none without such a file."""
    try:
        return list(map(str, json.loads(facts.read_text(encoding="utf-8"))["files"]))
    except (OSError, ValueError, KeyError, TypeError):
        return []


def remove_results(folder: Path, files: Iterable[str]) -> None:
    """Remove files of an earlier run, subfolders that become empty, and what killed runs left in them.

    Args:
        folder: Folder of the results.
        files: Paths relative to the folder; one that is not directly in it or in a subfolder is ignored,
            since the list may be from somebody else.

    Raises:
        UserError: A file cannot be removed.
    """
    parents = set()
    for name in files:
        path = folder / name
        if not (_is_inside(name) and os.path.lexists(path)):
            continue
        parents |= set(PurePath(name).parents)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise UserError(
                f"{path} of an earlier run cannot be removed ({error.strerror}); choose another output folder"
            ) from error
    for parent in sorted(parents - {PurePath()}, key=lambda one: -len(one.parts)):
        sweep_unfinished(folder / parent)
        with suppress(OSError):  # not empty, or missing
            (folder / parent).rmdir()


def _is_inside(name: str) -> bool:
    path = PurePath(name)
    return not path.is_absolute() and ".." not in path.parts
