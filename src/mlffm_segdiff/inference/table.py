"""`predictions.csv`: one row a file, in the order of the files."""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from mlffm_segdiff.data.atomic import whole_file
from mlffm_segdiff.inference.measures.case import CaseMeasures
from mlffm_segdiff.inference.quality import Flag

DECIMALS = 6

Cell = str | float | None


@dataclass(frozen=True)
class Row:
    """One file's result; what was not measured is None and stands empty in the table.

    image: the file's name. width, height: pixels. expected_dice, certainty, flags: see `inference.quality`;
    several flags stand in one cell, a blank between them. measures: each number is a column of its own.
    status: done or failed. error: why it failed.
    """

    image: str
    width: int | None = None
    height: int | None = None
    expected_dice: float | None = None
    certainty: float | None = None
    flags: tuple[Flag, ...] = ()
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
    values = asdict(row) | {"flags": " ".join(row.flags)}
    values |= values.pop("measures") or dict.fromkeys(MEASURES)
    return {name: _cell(values[name]) for name in COLUMNS}


def write_rows(rows: Iterable[Row], path: Path) -> Iterator[Row]:
    """Write rows as they come and pass them on; the table appears at `path` after the last, or not at all.

    Raises UserError where it cannot be written.
    """
    with (
        whole_file(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file,
    ):
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow(row_values(row))
            yield row


def _cell(value: Cell) -> Cell:
    return round(value, DECIMALS) if isinstance(value, float) else value
