"""Read CSV files as spreadsheets save them: splits, groups, metadata, lists of images."""

import codecs
import csv
import io
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import tee
from typing import IO, Any, cast

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.files.csv_text import unguarded

SEPARATORS = ",;\t|"
SEPARATOR_LINE = re.compile("sep=.?", re.IGNORECASE)
"""What Excel writes and reads as a first line, to tell the separator of the lines after it."""


def read_rows(data: bytes, name: str, columns: Sequence[str]) -> list[tuple[int, tuple[str, ...]]]:
    """Read columns of a CSV file in UTF-8 or UTF-16, as spreadsheets save them.

    Fields are separated by commas, semicolons, tabs or bars. A first line that names the separator, as
    Excel writes it ("sep=;"), is skipped. Column names may be in any case. Other columns and blank lines are
    ignored, whitespace around a field is removed, and fields are in Unicode's NFC.

    Args:
        data: Content of the file.
        name: Name of the file in errors.
        columns: Columns to read, in lower case.

    Returns:
        Line number and fields of each row.

    Raises:
        UserError: If the file is not UTF-8 or not CSV, a column or all rows are missing, a field is empty,
            one of these columns is there twice, or a row has more fields than the header.
    """
    header, lines = _lines(data, name, columns)
    names = [column.lower() for column in header]
    places = [names.index(column) for column in columns]
    rows = []
    for number, line in lines:
        fields = tuple(line[place] if place < len(line) else "" for place in places)
        if not all(fields):
            lacking = columns[fields.index("")]
            raise UserError(f"{name}, line {number}: no {lacking}; write {' and '.join(columns)}")
        rows.append((number, fields))
    return rows


def read_table(data: bytes, name: str, key: str) -> list[tuple[int, str, dict[str, str]]]:
    """Read all columns of a CSV file, by the rules of `read_rows`; only one column must be filled.

    Columns without a name are ignored, such as the index that pandas writes.

    Args:
        data: Content of the file.
        name: Name of the file in errors.
        key: Name of that column, in lower case.

    Returns:
        Of each row its line number, its key, and its other fields by the column's name; missing ones are "".

    Raises:
        UserError: If `read_rows` would raise it, there is only one column, or any column is there twice.
    """
    header, lines = _lines(data, name, (key,))
    names = [column.lower() for column in header]
    _require_one_each(name, header, filter(None, names))
    place = names.index(key)
    others = [(number, column) for number, column in enumerate(header) if column and number != place]
    if not others:
        raise UserError(f"{name} has no column but {key}; add one")
    rows = []
    for number, line in lines:
        fields = [*line, *[""] * (len(header) - len(line))]
        if not fields[place]:
            raise UserError(f"{name}, line {number}: no {key}; write it, or remove the line")
        rows.append((number, fields[place], {column: fields[other] for other, column in others}))
    return rows


def stream_column(file: IO[bytes], name: str, columns: Sequence[str]) -> Iterator[str]:
    """Yield the fields of one column of a CSV file of any length, which is read as a stream.

    Separators, encodings and column names are those of `read_rows`. Fields may be empty, and are not in NFC:
    file systems may distinguish normal forms.

    Args:
        file: The opened file.
        name: Name of the file in errors.
        columns: Names of the column, in lower case; the first that is there is read.

    Raises:
        UserError: If the file is neither UTF-8 nor UTF-16, not CSV, has none of the columns or the column
            twice, or a row has more fields than the header.
    """
    with _csv_errors(name):
        found = _table(text_lines(file, name), lambda names: not names.isdisjoint(columns))
        if found is None:
            raise UserError(f"{name} has none of the columns {', '.join(columns)}; add one")
        header, lines = found
        names = [column.lower() for column in header]
        wanted = next(column for column in columns if column in names)
        _require_one_each(name, header, [wanted])
        place = names.index(wanted)
        for line in lines:
            _require_columns(name, header, lines.line_num, line)
            if place < len(line):
                yield unguarded(line[place].strip())


def text_lines(file: IO[bytes], name: str) -> Iterator[str]:
    """Yield the lines of a file in UTF-8 or UTF-16 with their ends.

    Args:
        file: File open for reading.
        name: Name of the file in errors.

    Raises:
        UserError: It is neither UTF-8 nor UTF-16.
    """
    buffered = io.BufferedReader(cast("io.RawIOBase", file))  # any readable file can be buffered
    try:
        with io.TextIOWrapper(buffered, _encoding(buffered.peek(2)), newline="") as text:
            yield from text
    except UnicodeDecodeError as error:
        raise UserError(f"{name} is not UTF-8 ({error}); save it as UTF-8") from error


def _lines(data: bytes, name: str, columns: Sequence[str]) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the header of a table that has the columns, and number and fields of its lines.

    Raises:
        UserError: As `read_rows`, except for empty fields.
    """
    text = _text(data, name)
    with _csv_errors(name):
        if found := _table(io.StringIO(text, newline=""), set(columns).issubset):
            header, reader = found
            lines = [(reader.line_num, [unguarded(field.strip()) for field in line]) for line in reader]
            if filled := [line for line in lines if any(line[1])]:
                _require_one_each(name, header, columns)
                for number, line in filled:
                    _require_columns(name, header, number, line)
                return header, filled
    raise UserError(f"{name} must have the columns {','.join(columns)} and at least one line")


def _require_one_each(name: str, header: Sequence[str], columns: Iterable[str]) -> None:
    """Raise UserError if one of these columns is there more than once; names differ in case at most."""
    names = [column.lower() for column in header]
    if repeated := next((column for column in columns if names.count(column) > 1), None):
        raise UserError(f"{name} has several columns {repeated!r}; rename or remove all but one")


def _require_columns(name: str, header: Sequence[str], number: int, line: Sequence[str]) -> None:
    """Raise UserError if a line has more fields than the header, so that they have no certain columns."""
    if any(line[len(header) :]):
        raise UserError(
            f"{name}, line {number}: {len(line)} fields in {len(header)} columns; put fields with "
            "separators in quotes"
        )


def _table(lines: Iterator[str], fits: Callable[[set[str]], bool]) -> tuple[list[str], Any] | None:
    """Return the header of a table, and the reader of its other lines, by the first separator that fits.

    Args:
        lines: Lines of the file.
        fits: Returns whether names of columns, in lower case, are those of the table.
    """
    for separator in SEPARATORS:
        lines, attempt = tee(lines)
        reader = csv.reader(attempt, delimiter=separator)
        first = next(reader, [])
        if first and SEPARATOR_LINE.fullmatch(first[0]):
            first = next(reader, [])
        header = [field.strip() for field in first]
        if fits({column.lower() for column in header}):
            return header, reader
    return None


@contextmanager
def _csv_errors(name: str) -> Iterator[None]:
    try:
        yield
    except csv.Error as error:
        raise UserError(f"{name} is not CSV ({error}); save it as CSV in UTF-8") from error


def _encoding(start: bytes) -> str:
    wide = start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return "utf-16" if wide else "utf-8-sig"


def _text(data: bytes, name: str) -> str:
    try:
        return unicodedata.normalize("NFC", data.decode(_encoding(data)))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(f"{name}, line {line}: not UTF-8; save the file as CSV in UTF-8") from error
