"""One case of a data set (an image, its mask, its group) and where its files lie."""

import os
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from mlffm_segdiff.config.errors import UserError


@lru_cache(maxsize=16)
def _archive(path: Path, process: int, size: int, modified: int) -> zipfile.ZipFile:
    """The archive, its directory read once. A changed archive or a forked process gets its own."""
    del process, size, modified
    return zipfile.ZipFile(path)


def open_archive(path: Path) -> zipfile.ZipFile:
    """The zip archive at `path`, shared by all readers of this process; safe under threads.

    Raises UserError if it is absent or no zip archive.
    """
    try:
        status = path.stat()
        return _archive(path, os.getpid(), status.st_size, status.st_mtime_ns)
    except (OSError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} cannot be read as a zip archive ({error}); download it again") from error


@dataclass(frozen=True)
class Entry:
    """One file: in a folder, or inside a zip archive when `member` is set."""

    path: Path
    member: str | None = None

    @property
    def name(self) -> str:
        """The file's name without folders."""
        return (self.member or str(self.path)).replace("\\", "/").rsplit("/", 1)[-1]

    def __str__(self) -> str:
        return str(self.path) if self.member is None else f"{self.path}:{self.member}"

    def read(self) -> bytes:
        """The file's content. Raises UserError naming the file if it cannot be read."""
        try:
            if self.member is None:
                return self.path.read_bytes()
            return open_archive(self.path).read(self.member)
        except Exception as error:  # zipfile lets zlib, struct and runtime errors through
            if isinstance(error, UserError):
                raise
            raise UserError(f"{self} cannot be read ({error}); restore or download it again") from error

    def stamp(self) -> str:
        """A short text that changes when the content does.

        Inside an archive: checksum and size from its directory. A file: its place, size and time of
        change (files unpacked from one archive often share the last two).
        Raises UserError if the file is gone.
        """
        try:
            if self.member is None:
                status = self.path.stat()
                return f"{self.path.resolve()}-{status.st_size}-{status.st_mtime_ns}"
            info = open_archive(self.path).getinfo(self.member)
            return f"{info.CRC:08x}-{info.file_size}"
        except (OSError, KeyError) as error:
            raise UserError(f"{self} is gone ({error}); restore it or read the data set again") from error


@dataclass(frozen=True)
class Case:
    """An image with its mask. `group` is the lesion or patient, or the id where nothing else is known."""

    id: str
    image: Entry
    mask: Entry | None
    group: str
