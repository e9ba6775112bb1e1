"""`predictions.csv` or `.parquet`: one row a file, in the order of the files."""

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import get_args, get_type_hints

from mlffm_segdiff.data.atomic import atomic_write
from mlffm_segdiff.inference.measures.case import CaseMeasures
from mlffm_segdiff.inference.outputs.parquet import parquet_writer

DECIMALS = 6

Cell = str | float | None


@dataclass(frozen=True)
class Row:
    """One file's result; what was not measured is None and stands empty in the table.

    image: the file's name. width, height: pixels. expected_dice, certainty, flags: see `inference.quality`;
    of several flags a blank stands between. measures: each number is a column of its own.
    status: done or failed. error: why it failed.
    """

    image: str
    width: int | None = None
    height: int | None = None
    expected_dice: float | None = None
    certainty: float | None = None
    flags: str = ""
    measures: CaseMeasures | None = None
    status: str = "done"
    error: str = ""

    @property
    def failed(self) -> bool:
        """Whether the file could not be segmented."""
        return self.status == "failed"


MEASURES = tuple(field.name for field in fields(CaseMeasures))
COLUMNS = ("image", "width", "height", "expected_dice", "certainty", "flags", *MEASURES, "status", "error")


def row_values(row: Row) -> dict[str, Cell]:
    """Return a row's values by COLUMNS; fractions to six decimals."""
    values = asdict(row)
    values |= values.pop("measures") or dict.fromkeys(MEASURES)
    return {name: _cell(values[name]) for name in COLUMNS}


def column_types() -> dict[str, type]:
    """Return what each of COLUMNS holds where it holds something: str, int or float."""
    hints = get_type_hints(Row) | get_type_hints(CaseMeasures)
    return {name: (get_args(hints[name]) or (hints[name],))[0] for name in COLUMNS}


def write_rows(rows: Iterable[Row], path: Path) -> Iterator[Row]:
    """Write rows as they come and pass them on; the table appears at `path` after the last, or not at all.

    path: .parquet, or else CSV. Raises UserError where it cannot be written.
    """
    with atomic_write(path) as temporary, _writer(temporary) as add:
        for row in rows:
            add(row_values(row))
            yield row


@contextmanager
def _writer(path: Path) -> Iterator[Callable[[Mapping[str, Cell]], object]]:
    if path.suffix == ".parquet":
        with parquet_writer(path, column_types()) as add:
            yield add
    else:
        with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            yield writer.writerow


def _cell(value: Cell) -> Cell:
    return round(value, DECIMALS) if isinstance(value, float) else value
