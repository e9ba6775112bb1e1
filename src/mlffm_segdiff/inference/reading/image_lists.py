"""Lists of images: a text file with a path or URL a line, or a CSV table with a column of them."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import IO

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.files.csv_columns import stream_column, text_lines
from mlffm_segdiff.inference.reading.remote import RemoteFile, is_url, open_file

COLUMNS = ("image", "path", "file", "filename", "url")
"""Columns of a CSV table that may hold the images; the first that is there does."""

Listed = tuple[Sequence[Path | RemoteFile], Sequence[Path | RemoteFile]]


def list_text(file: Path | RemoteFile) -> Listed:
    """Return the images of a text file, one path or URL a line.

    Args:
        file: List in UTF-8 or UTF-16, of any length. Relative paths start at its folder; of a remote list
            they are URLs next to it.

    Returns:
        The images, which need not exist, and no other files.

    Raises:
        UserError: The file cannot be read.
    """
    return _listed(file, text_lines)


def list_csv(file: Path | RemoteFile) -> Listed:
    """Return the images of a CSV table, of its first column among COLUMNS; see `list_text`."""
    return _listed(file, partial(stream_column, columns=COLUMNS))


def _listed(file: Path | RemoteFile, places: Callable[[IO[bytes], str], Iterable[str]]) -> Listed:
    def source(place: str) -> Path | RemoteFile:
        if is_url(place):
            return RemoteFile(place)
        return file.parent / place if isinstance(file, Path) else file.neighbour(place)

    try:
        with open_file(file, stream=True) as opened:
            return [source(place) for place in map(str.strip, places(opened, str(file))) if place], ()
    except OSError as error:
        raise UserError(f"{file} cannot be read ({error.strerror}); check its permissions") from error
