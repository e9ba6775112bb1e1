"""Paths as users write them."""

import os
from pathlib import Path


def expanded(path: str | os.PathLike[str]) -> Path:
    """Return a path with the home folder in place of ``~``.

    A path such as ``~a.png`` is unchanged unless a user ``a.png`` exists; `Path.expanduser` would raise.
    """
    return Path(os.path.expanduser(path))  # noqa: PTH111  # Path.expanduser raises
