"""Files in a study's folder by which cells that run elsewhere tell that they have begun.

They also prove that the cell sees this very folder: its name is new each time.
"""

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from mlffm_segdiff.config.errors import UserError


@dataclass(frozen=True)
class Notices:
    """The notices of one launch, read where it was made."""

    folder: Path
    _told: set[str] = field(default_factory=set)

    def news(self) -> list[str]:
        """Return the keys of cells that began since this was last asked."""
        begun = sorted({path.name for path in self.folder.iterdir()} - self._told)
        self._told.update(begun)
        return begun


@contextmanager
def open_notices(study: Path) -> Iterator[Notices]:
    """Give a new folder for notices in the study's folder; it is gone when the block ends."""
    with TemporaryDirectory(prefix=".launch-", dir=study, ignore_cleanup_errors=True) as folder:
        yield Notices(Path(folder))


def announce(folder: Path, key: str) -> None:
    """Tell that a cell begins. Raises UserError where the folder is not to be seen from this machine."""
    try:
        (folder / key).touch()
    except OSError:
        raise UserError(
            f"{folder.parent} is not to be seen from {platform.node()}, or is another folder there; "
            "a study on a cluster must lie on a file system that all its machines share"
        ) from None
