"""Paths as users write them."""

import os
from pathlib import Path


def expanded(path: str | os.PathLike[str]) -> Path:
    """Return a path with the home folder in place of ``~``.

    Unlike `Path.expanduser`, it leaves the path as it is if there is no such user: ``~a.png`` may be a file.
    """
    return Path(os.path.expanduser(path))  # noqa: PTH111
