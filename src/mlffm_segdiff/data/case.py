"""A case of a data set: an image, its mask and its group, in files or zip archives."""

import io
import os
import re
import shutil
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from mlffm_segdiff.config.errors import UserError, reason_of

MAX_BYTES = 2**30
PIECE_BYTES = 2**20
UTF_8 = 0x800
"""Flag of a member whose name is UTF-8."""


@lru_cache(maxsize=16)
def _archive(path: Path, process: int, size: int, modified: int) -> zipfile.ZipFile:
    """Open an archive once per process and version of the file."""
    del process, size, modified
    archive = zipfile.ZipFile(path)
    encoding = names_encoding(
        [info.orig_filename for info in archive.infolist() if not info.flag_bits & UTF_8]
    )
    archive = zipfile.ZipFile(path, metadata_encoding=encoding) if encoding else archive
    for info in archive.infolist():
        info.filename = info.filename.replace("\\", "/")  # old Windows tools separate folders this way
    archive.NameToInfo = {info.filename: info for info in archive.infolist()}
    return archive


def names_encoding(names: Iterable[str]) -> str | None:
    """Return the encoding of names in a zip archive that does not name it, as Windows and old tools write.

    Args:
        names: Names as zipfile decodes them, by cp437.

    Returns:
        utf-8, cp932 (Japanese) or gb18030 (Chinese); None for cp437, and where all names are ASCII.
    """
    stored = "\n".join(name for name in names if not name.isascii()).encode("cp437")
    for encoding, plausible in ENCODINGS.items() if stored else ():
        try:
            decoded = stored.decode(encoding)
        except UnicodeDecodeError:
            continue
        if plausible(decoded):
            return encoding
    return None


def _may_be_japanese(text: str) -> bool:
    """Return whether text has Japanese words; Chinese or Western text so read has half or full width."""
    return not re.search("[\uff01-\uff9f]", text) and bool(
        re.search("[\u3040-\u30ff]|[\u4e00-\u9fff]{2}", text)
    )


def _may_be_chinese(text: str) -> bool:
    """Return whether most letters are among the common ones of GB 2312; single accents read so are not."""
    letters = [letter for letter in text if not letter.isascii()]
    return 2 * sum(bool(letter.encode("gb2312", "ignore")) for letter in letters) > len(letters)


ENCODINGS: dict[str, Callable[[str], bool]] = {
    "utf-8": bool,
    "cp932": _may_be_japanese,
    "gb18030": _may_be_chinese,
}


def open_archive(path: Path) -> zipfile.ZipFile:
    """Open a zip archive, shared by all readers of this process; thread-safe.

    Raises:
        UserError: If the file is missing or not a zip archive.
    """
    try:
        status = path.stat()
        return _archive(path, os.getpid(), status.st_size, status.st_mtime_ns)
    except (OSError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{path} cannot be read as a zip archive ({reason_of(error)}); download it again"
        ) from error


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
        """Return the content of the file. Raises UserError if it cannot be read, or is over MAX_BYTES."""
        try:
            if self.size() > MAX_BYTES:
                limit = f"{MAX_BYTES / 2**30:.0f} GiB"
                raise UserError(f"{self} is over {limit}; save it as PNG or JPEG, or crop it to the lesion")
            if self.member is None:
                return self.path.read_bytes()
            content = io.BytesIO()
            with open_archive(self.path).open(self.member) as file:
                shutil.copyfileobj(file, content, PIECE_BYTES)  # read at once it would take twice its size
            return content.getvalue()
        except Exception as error:  # zipfile lets zlib, struct and runtime errors through
            if isinstance(error, UserError):
                raise
            if self.path.is_dir():
                raise UserError(f"{self} is a folder; give a file") from error
            raise UserError(
                f"{self} cannot be read ({reason_of(error)}); restore or download it again"
            ) from error

    def size(self) -> int:
        """Return the size of the file in bytes, unpacked. Raises OSError, KeyError or UserError."""
        if self.member is None:
            return self.path.stat().st_size
        return open_archive(self.path).getinfo(self.member).file_size

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
            raise UserError(
                f"{self} is missing ({reason_of(error)}); restore it or read the data set again"
            ) from error


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
