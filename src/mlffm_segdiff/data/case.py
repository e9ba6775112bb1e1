"""A case of a data set: an image, its mask and its group, in files or zip archives."""

import os
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from mlffm_segdiff.config.errors import UserError

_UTF8_NAME = 0x800


@lru_cache(maxsize=16)
def _archive(path: Path, process: int, size: int, modified: int) -> zipfile.ZipFile:
    """Open an archive once per process and version of the file."""
    del process, size, modified
    archive = zipfile.ZipFile(path)
    for info in archive.infolist():
        info.filename = _member_name(info)
    archive.NameToInfo = {info.filename: info for info in archive.infolist()}
    return archive


def _member_name(info: zipfile.ZipInfo) -> str:
    """Return a member's name with / between folders, and as it was written where its encoding is not given.

    Without the flag of UTF-8, zipfile reads code page 437; Windows in Chinese writes GBK and others UTF-8.
    Code page 437 stays where neither is certain: GBK's common characters are box drawings in it.
    """
    name = info.filename.replace("\\", "/")
    if info.flag_bits & _UTF8_NAME or name.isascii():
        return name
    written = name.encode("cp437", errors="replace")
    for encoding in ("utf-8", "gb2312"):
        try:
            decoded = written.decode(encoding)
        except UnicodeDecodeError:
            continue
        if encoding == "utf-8" or any("\u2500" <= letter <= "\u259f" for letter in name):
            return decoded
    return name


def open_archive(path: Path) -> zipfile.ZipFile:
    """Open a zip archive, shared by all readers of this process; thread-safe.

    Raises:
        UserError: If the file is missing or not a zip archive.
    """
    try:
        status = path.stat()
        return _archive(path, os.getpid(), status.st_size, status.st_mtime_ns)
    except (OSError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} cannot be read as a zip archive ({error}); download it again") from error


@dataclass(frozen=True)
class Entry:
    """A file, or a member of a zip archive.

    Attributes:
        path: The file or the archive.
        member: Name of the member, or None for a file.
    """

    path: Path
    member: str | None = None

    @property
    def name(self) -> str:
        """Name of the file without folders."""
        return (self.member or str(self.path)).replace("\\", "/").rsplit("/", 1)[-1]

    def __str__(self) -> str:
        return str(self.path) if self.member is None else f"{self.path}:{self.member}"

    def read(self) -> bytes:
        """Return the content of the file. Raises UserError if it cannot be read."""
        try:
            if self.member is None:
                return self.path.read_bytes()
            return open_archive(self.path).read(self.member)
        except Exception as error:  # zipfile lets zlib, struct and runtime errors through
            if isinstance(error, UserError):
                raise
            raise UserError(f"{self} cannot be read ({error}); restore or download it again") from error

    def stamp(self) -> str:
        """Return a short text that changes with the content of the file.

        For a member of an archive: checksum and size. For a file: path, size and time of modification (files
        unpacked from one archive often share the last two).

        Raises:
            UserError: If the file is missing.
        """
        try:
            if self.member is None:
                status = self.path.stat()
                return f"{self.path.resolve()}-{status.st_size}-{status.st_mtime_ns}"
            info = open_archive(self.path).getinfo(self.member)
            return f"{info.CRC:08x}-{info.file_size}"
        except (OSError, KeyError) as error:
            raise UserError(f"{self} is missing ({error}); restore it or read the data set again") from error


@dataclass(frozen=True)
class Case:
    """An image with its mask.

    Attributes:
        id: Id of the case.
        image: The image file.
        mask: The mask file, or None.
        group: Lesion or patient, or the id if unknown.
    """

    id: str
    image: Entry
    mask: Entry | None
    group: str
