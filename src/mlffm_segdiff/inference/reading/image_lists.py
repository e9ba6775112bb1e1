"""Lists of images: a text file with a path or URL a line, or a CSV table with a column of them."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.inference.reading.remote import MOST_REMOTE_BYTES, RemoteFile, is_url, read_url

COLUMNS = ("image", "path", "file", "filename", "url")
"""Columns of a CSV table that may hold the images; the first that is there does."""

Listed = tuple[Sequence[Path | RemoteFile], Sequence[Path | RemoteFile]]


def list_text(file: Path | RemoteFile) -> Listed:
    """Return the images of a text file, one path or URL a line.

    Args:
        file: In UTF-8. Relative paths start at its folder; of a remote list they are URLs next to it.

    Returns:
        The images, which need not exist, and no other files.

    Raises:
        UserError: The file cannot be read.
    """
    return _sources(file, _text(file).splitlines()), ()


def list_csv(file: Path | RemoteFile) -> Listed:
    """Return the images of a CSV table, of its first column among COLUMNS; see `list_text`."""
    table = csv.DictReader(io.StringIO(_text(file), newline=""))
    column = next((name for name in COLUMNS if name in (table.fieldnames or ())), None)
    if column is None:
        raise UserError(f"{file} has no column of images; name it {' or '.join(COLUMNS)}")
    return _sources(file, (row[column] or "" for row in table)), ()


def _sources(file: Path | RemoteFile, places: Iterable[str]) -> list[Path | RemoteFile]:
    named = filter(None, map(str.strip, places))
    if isinstance(file, Path):
        return [RemoteFile(place) if is_url(place) else file.parent / place for place in named]
    folder = file.url.rpartition("/")[0]
    return [RemoteFile(place if is_url(place) else f"{folder}/{place}") for place in named]


def _text(file: Path | RemoteFile) -> str:
    try:
        data = (
            file.read_bytes() if isinstance(file, Path) else read_url(file.url, str(file), MOST_REMOTE_BYTES)
        )
        return data.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} cannot be read as a list of images ({error}); save it as UTF-8") from error
