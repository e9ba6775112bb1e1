"""`predictions.csv`: one row a file, in the order of the files."""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from mlffm_segdiff.data.atomic import whole_file

DECIMALS = 6


@dataclass(frozen=True)
class Row:
    """One file's result; what was not measured is None and stands empty in the table.

    image: the file's name. width, height: pixels. area, area_share, parts, mean_spread: see `Measures`.
    status: done or failed. error: why it failed.
    """

    image: str
    width: int | None = None
    height: int | None = None
    area: int | None = None
    area_share: float | None = None
    parts: int | None = None
    mean_spread: float | None = None
    status: str = "done"
    error: str = ""

    @property
    def failed(self) -> bool:
        """Whether the file could not be segmented."""
        return self.status == "failed"


COLUMNS = tuple(field.name for field in fields(Row))


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
            writer.writerow({name: _cell(value) for name, value in asdict(row).items()})
            yield row


def _cell(value: str | float | None) -> str | float | None:
    return round(value, DECIMALS) if isinstance(value, float) else value
