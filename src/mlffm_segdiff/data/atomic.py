"""Files that appear whole or not at all."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlffm_segdiff.config.errors import UserError


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
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
        raise UserError(
            f"{path} cannot be written ({error.strerror or error}); choose a folder you may write to"
        ) from error
