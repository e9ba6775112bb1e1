"""Paths as users write them."""

import os
from pathlib import Path

from mlffm_segdiff.config.errors import UserError


def expanded(path: str | os.PathLike[str]) -> Path:
    """Return a path with the home folder in place of ``~``.

    A path such as ``~a.png`` is unchanged unless a user ``a.png`` exists; `Path.expanduser` would raise.

    Raises:
        UserError: It is not a path, or is empty, which would mean the current folder.
    """
    if not isinstance(path, str | os.PathLike):
        raise UserError(f"{path!r} is a {type(path).__name__}, not a path; give a path")
    if path == "":
        raise UserError("a path is empty; give one ('.' is the current folder)")
    return Path(os.path.expanduser(path))  # noqa: PTH111  # Path.expanduser raises
