"""Paths as users write them."""

import os
from collections.abc import Mapping
from pathlib import Path

from mlffm_segdiff.config.errors import UserError


def require_mapping(name: str, value: object, example: str) -> None:
    """Raise UserError unless a value is a mapping with texts as its keys.

    Args:
        name: Name of the argument.
        value: Its value.
        example: A value that would do, for the error.
    """
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise UserError(f"{name} is {value!r}; give a mapping by name: {example}")


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
