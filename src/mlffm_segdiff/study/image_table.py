"""Tables of a user about the scored images: their groups and properties, by id."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TypeVar

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.datasets.mask_names import id_hint, match_key

MOST_GROUPS = 20
"""Groups that a report shows at most."""

Row = TypeVar("Row")


def table_content(table: Path) -> bytes:
    """Return the content of a CSV file. Raises UserError if it cannot be read."""
    try:
        return table.read_bytes()
    except OSError as error:
        raise UserError(f"{table} cannot be read ({error.strerror}); give a CSV file") from error


def rows_by_image(table: Path, rows: Iterable[tuple[int, str, Row]], ids: Collection[str]) -> dict[str, Row]:
    """Return the rows of a table by the id of their image; rows of other images are ignored.

    Args:
        table: The file, for errors.
        rows: Line number, id in any case, and content of each row.
        ids: Of the images.

    Raises:
        UserError: If two rows of an image differ, or no row is of one of the images.
    """
    spelling = {match_key(key): key for key in ids}
    found: dict[str, Row] = {}
    first = ""
    for line, key, row in rows:
        first = first or key
        image = spelling.get(match_key(key))
        if image is not None and found.setdefault(image, row) != row:
            raise UserError(f"{table}, line {line}: {key!r} has an earlier line that differs; keep one")
    if not found:
        hint = id_hint(first, ids)
        raise UserError(f"{table}: no image has the id {first!r} or another of its ids; {hint}")
    return found
