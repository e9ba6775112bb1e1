"""Rows of the small tables that come with data: splits, groups, metadata."""

import csv
import io
from collections.abc import Iterator, Sequence

from mlffm_segdiff.config.errors import UserError


def read_rows(data: bytes, name: str, columns: Sequence[str]) -> list[tuple[int, tuple[str, ...]]]:
    """Line number and the fields of `columns` of each row of a CSV file in UTF-8, parted by comma or tab.

    Other columns and blank lines are passed over, spaces around a field are cut. `name` names the file in
    errors. Raises UserError if the bytes are no UTF-8 or no CSV, lack a column or all rows, or a field is
    empty.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(f"{name}, line {line}: not UTF-8; save the file as CSV in UTF-8") from error
    try:
        rows = list(_rows(text, name, columns))
    except csv.Error as error:
        raise UserError(f"{name} is not CSV ({error}); save it as CSV in UTF-8") from error
    if not rows:
        raise UserError(f"{name} must have the columns {','.join(columns)} and at least one line")
    return rows


def _rows(text: str, name: str, columns: Sequence[str]) -> Iterator[tuple[int, tuple[str, ...]]]:
    separator = "\t" if "\t" in text.partition("\n")[0] else ","
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator)
    if not set(columns) <= set(reader.fieldnames or ()):
        return
    for row in reader:
        fields = tuple((row[column] or "").strip() for column in columns)
        if not all(fields):
            lacking = columns[fields.index("")]
            raise UserError(f"{name}, line {reader.line_num}: no {lacking}; write {' and '.join(columns)}")
        yield reader.line_num, fields
