"""The table of predictions, as CSV or Parquet: one row per image, in the order of the images."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Literal, Self, get_args, get_type_hints

from mlffm_segdiff.files.atomic import atomic_write
from mlffm_segdiff.files.csv_text import csv_line
from mlffm_segdiff.files.names import utf8_text
from mlffm_segdiff.inference.estimates import Ends
from mlffm_segdiff.inference.measures.lesion_measures import LesionMeasures
from mlffm_segdiff.inference.outputs.parquet import parquet_writer
from mlffm_segdiff.inference.result import CaseResult

DECIMALS = 6

Cell = str | float | None
Status = Literal["done", "incomplete", "failed", "refused"]


@dataclass(frozen=True)
class Intervals:
    """The intervals of one image at one level; None without a calibration that applies.

    Attributes:
        interval_level: Probability with which each of the intervals holds.
        calibration_cases: Number of calibration cases by data set, such as ``ham10000=1800 isic2018=194``.
    """

    interval_level: float | None = None
    expected_dice_low: float | None = None
    expected_dice_high: float | None = None
    area_low: float | None = None
    area_high: float | None = None
    equivalent_diameter_low: float | None = None
    equivalent_diameter_high: float | None = None
    area_mm2_low: float | None = None
    area_mm2_high: float | None = None
    equivalent_diameter_mm_low: float | None = None
    equivalent_diameter_mm_high: float | None = None
    calibration_cases: str = ""

    def ends(self, name: str) -> Ends | None:
        """Return the interval of a measure or of ``expected_dice``; None if there is none."""
        low, high = (getattr(self, f"{name}_{end}", None) for end in ("low", "high"))
        return None if low is None or high is None else (low, high)


@dataclass(frozen=True)
class Row:
    """The result of one image; what was not measured is None, an empty cell in the table.

    Attributes:
        image: File name.
        width: Image width in pixels.
        height: Image height in pixels.
        expected_dice: See `CaseResult`.
        certainty: See `CaseResult`.
        flags: Names of the flags, separated by spaces.
        measures: Measures of the mask, a column each.
        intervals: A column for each.
        outlier_score: See `OutlierScore`; above 1 the image is flagged as ``not_dermoscopy``.
        expected_human_agreement: Mean Dice between the outlines of two people, see `CaseResult`.
        status: ``incomplete``: the mask was written, another output was not. ``failed``: no mask.
            ``refused``: no mask, because the image is an outlier.
        error: What went wrong, or why the image was refused.
        stem: Name of the output files, without an extension; not a column.
    """

    image: str
    width: int | None = None
    height: int | None = None
    expected_dice: float | None = None
    certainty: float | None = None
    flags: str = ""
    measures: LesionMeasures | None = None
    intervals: Intervals = Intervals()
    outlier_score: float | None = None
    expected_human_agreement: float | None = None
    status: Status = "done"
    error: str = ""
    stem: str = ""

    @property
    def failed(self) -> bool:
        """Whether the image has no mask."""
        return self.status in {"failed", "refused"}

    def with_fault(self, fault: str) -> Self:
        """Return the row with an output that was not written; as it is for an empty fault."""
        if not fault:
            return self
        status = self.status if self.failed else "incomplete"
        return replace(self, status=status, error="; ".join(filter(None, (self.error, fault))))


MEASURES = tuple(field.name for field in fields(LesionMeasures))
INTERVALS = tuple(field.name for field in fields(Intervals))
QUALITY = ("expected_dice", "certainty", "flags", "outlier_score", "expected_human_agreement")
COLUMNS = ("image", "width", "height", *QUALITY, *MEASURES, *INTERVALS, "status", "error")


def row_of(result: CaseResult) -> Row:
    """Return the row of an image whose mask was written."""
    return Row(
        result.image.name,
        result.image.width,
        result.image.height,
        result.expected_dice.value if result.expected_dice else None,
        result.certainty,
        " ".join(result.flags),
        result.measures,
        _intervals(result),
        result.outlier.score if result.outlier else None,
        result.expected_human_agreement.dice if result.expected_human_agreement else None,
        stem=result.image.stem,
    )


def row_values(row: Row) -> dict[str, Cell]:
    """Return the values of a row by COLUMNS; fractions to six decimals, texts as `utf8_text`."""
    measures = vars(row.measures) if row.measures else dict.fromkeys(MEASURES)
    values = {**vars(row), **measures, **vars(row.intervals)}
    return {name: _cell(values[name]) for name in COLUMNS}


def column_types() -> dict[str, type]:
    """Return the type of each column: str, int or float."""
    hints = get_type_hints(Row) | get_type_hints(LesionMeasures) | get_type_hints(Intervals)
    hints["status"] = str
    return {name: (get_args(hints[name]) or (hints[name],))[0] for name in COLUMNS}


def write_rows(rows: Iterable[Row], path: Path) -> Iterator[Row]:
    """Write rows as they arrive and yield them; the table appears only after the last one.

    Args:
        rows: Rows of the images, in order.
        path: Ends in .parquet, or in anything else for CSV.

    Raises:
        UserError: The table cannot be written.
    """
    with atomic_write(path) as temporary, table_writer(temporary, column_types()) as add:
        for row in rows:
            add(row_values(row))
            yield row


def _intervals(result: CaseResult) -> Intervals:
    ends = {
        f"{name}_{end}": value
        for name, interval in result.intervals.items()
        for end, value in zip(("low", "high"), interval, strict=True)
    }
    if not ends:
        return Intervals()
    cases = " ".join(f"{name}={count}" for name, count in sorted(result.calibration_cases.items()))
    return Intervals(interval_level=result.level, calibration_cases=cases, **ends)


@contextmanager
def table_writer(path: Path, columns: Mapping[str, type]) -> Iterator[Callable[[Mapping[str, Cell]], object]]:
    """Yield the function that adds a row, a mapping of the columns in their order, to a new table.

    Args:
        path: Ends in .parquet, or in anything else for CSV.
        columns: str, int or float by name.
    """
    if path.suffix == ".parquet":
        with parquet_writer(path, columns) as add:
            yield add
    else:
        with path.open("w", newline="", encoding="utf-8") as file:
            file.write(csv_line(columns))
            yield lambda row: file.write(csv_line(row.values()))


def _cell(value: Cell) -> Cell:
    if isinstance(value, str):
        return utf8_text(value)
    return round(value, DECIMALS) if isinstance(value, float) else value
