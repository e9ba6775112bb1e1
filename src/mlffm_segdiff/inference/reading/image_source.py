"""Where an image comes from: a file, a member of a zip archive, or a file at a URL."""

import os
import re
from hashlib import sha256
from pathlib import Path

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.case import Entry, open_archive
from mlffm_segdiff.inference.reading.packed import ParquetImage, TarMember
from mlffm_segdiff.inference.reading.remote import MAX_REMOTE_BYTES, RemoteFile, read_url

LONGEST_NAME, LONGEST_MEMBER = 255 - len("_0000.png"), 200
"""Bytes of the result names of files, with room for the longest ending, nnU-Net's, and of other sources."""
RESERVED = re.compile(r"^(con|prn|aux|nul|com\d|lpt\d)(?=\.|$)", re.IGNORECASE)
UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]')


Source = Path | Entry | RemoteFile | TarMember | ParquetImage


def read_source(source: Source) -> bytes:
    """Read a file. Raises UserError naming it if it cannot be read or is too large."""
    if isinstance(source, RemoteFile):
        data = read_url(source.url, str(source), MAX_REMOTE_BYTES + 1)
        if len(data) > MAX_REMOTE_BYTES:
            raise UserError(f"{source} is over {MAX_REMOTE_BYTES / 2**20:.0f} MiB; download it first")
        return data
    if isinstance(source, TarMember | ParquetImage):
        return source.read()
    return (Entry(source) if isinstance(source, Path) else source).read()


def case_name(source: Source) -> str:
    """Return the stem of a source's output files: its name without the extension, unless that is a number.

    DICOM files are often named by UIDs, which end in a number. Rows of a table have no extension. Names from
    archives and URLs lose what some file system refuses. Names of which the mask would be too long are cut,
    with a digest at the end.
    """
    stem, ending = Path(source.name).stem, Path(source.name).suffix
    name = source.name if ending[1:].isdigit() or isinstance(source, ParquetImage) else stem
    if isinstance(source, Path):
        return _cut(name, LONGEST_NAME)
    return _cut(RESERVED.sub(r"_\1", UNSAFE.sub("_", name)), LONGEST_MEMBER)


def _cut(name: str, most: int) -> str:
    data = os.fsencode(name)
    if len(data) <= most:
        return name
    end = f"-{sha256(data).hexdigest()[:8]}"
    return data[: most - len(end)].decode(errors="ignore") + end


def first_bytes(entry: Entry | TarMember, count: int) -> bytes:
    """Return the first bytes of a file; none if it cannot be read."""
    try:
        if isinstance(entry, TarMember):
            return entry.first_bytes(count)
        if entry.member is None:
            with entry.path.open("rb") as file:
                return file.read(count)
        with open_archive(entry.path).open(entry.member) as file:
            return file.read(count)
    except Exception:  # zipfile lets zlib, struct and runtime errors through; reading it later reports which
        return b""
