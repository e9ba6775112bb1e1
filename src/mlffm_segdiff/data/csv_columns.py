"""Read columns of small CSV files: splits, groups, metadata."""

import codecs
import csv
import io
import unicodedata
from collections.abc import Iterator, Sequence

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.csv_text import unguarded

SEPARATORS = ",;\t|"


def read_rows(data: bytes, name: str, columns: Sequence[str]) -> list[tuple[int, tuple[str, ...]]]:
    """Read columns of a CSV file in UTF-8 or UTF-16, as spreadsheets save them.

    Fields are separated by commas, semicolons, tabs or bars. Column names may be in any case. Other columns
    and blank lines are ignored, whitespace around a field is removed, and fields are in Unicode's NFC.

    Args:
        data: Content of the file.
        name: Name of the file in errors.
        columns: Columns to read, in lower case.

    Returns:
        Line number and fields of each row.

    Raises:
        UserError: If the file is not UTF-8 or not CSV, a column or all rows are missing, or a field is empty.
    """
    try:
        rows = list(_rows(_text(data, name), name, columns))
    except csv.Error as error:
        raise UserError(f"{name} is not CSV ({error}); save it as CSV in UTF-8") from error
    if not rows:
        raise UserError(f"{name} must have the columns {','.join(columns)} and at least one line")
    return rows


def _text(data: bytes, name: str) -> str:
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return unicodedata.normalize("NFC", data.decode("utf-16" if wide else "utf-8-sig"))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(f"{name}, line {line}: not UTF-8; save the file as CSV in UTF-8") from error


def _rows(text: str, name: str, columns: Sequence[str]) -> Iterator[tuple[int, tuple[str, ...]]]:
    for separator in SEPARATORS:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        names = [field.strip().lower() for field in next(reader, [])]
        if set(columns) <= set(names):
            break
    else:
        return
    places = [names.index(column) for column in columns]
    for row in reader:
        if not any(field.strip() for field in row):
            continue
        fields = tuple(unguarded(row[place].strip()) if place < len(row) else "" for place in places)
        if not all(fields):
            lacking = columns[fields.index("")]
            raise UserError(f"{name}, line {reader.line_num}: no {lacking}; write {' and '.join(columns)}")
        yield reader.line_num, fields
