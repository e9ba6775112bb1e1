"""Read columns of small CSV files: splits, groups, metadata."""

import csv
import io
from collections.abc import Iterator, Sequence

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.csv_text import unguarded


def read_rows(data: bytes, name: str, columns: Sequence[str]) -> list[tuple[int, tuple[str, ...]]]:
    """Read columns of a CSV file in UTF-8, separated by commas or tabs.

    Other columns and blank lines are ignored, and whitespace around a field is removed.

    Args:
        data: Content of the file.
        name: Name of the file in errors.
        columns: Columns to read.

    Returns:
        Line number and fields of each row.

    Raises:
        UserError: If the file is not UTF-8 or not CSV, a column or all rows are missing, or a field is empty.
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
        fields = tuple(unguarded((row[column] or "").strip()) for column in columns)
        if not all(fields):
            lacking = columns[fields.index("")]
            raise UserError(f"{name}, line {reader.line_num}: no {lacking}; write {' and '.join(columns)}")
        yield reader.line_num, fields
