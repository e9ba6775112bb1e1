from collections.abc import Iterator
from pathlib import Path

import pytest
from pyarrow import parquet

from mlffm_segdiff.inference.measures.lesion_measures import LesionMeasures
from mlffm_segdiff.inference.outputs.predictions import Row, write_rows

HEADER = (
    "image,width,height,expected_dice,certainty,flags,area,area_share,components,mean_spread,perimeter,equivalent_diameter,"
    "area_mm2,perimeter_mm,equivalent_diameter_mm,centroid_x,centroid_y,"
    "box_left,box_top,box_width,box_height,asymmetry_major,asymmetry_minor,"
    "compactness,solidity,fractal_index,colours,colour_distance,colour_spread,status,error\n"
)


def test_rows_become_lines_and_missing_values_stay_empty(tmp_path: Path) -> None:
    rows = [
        Row(
            "a.png",
            3,
            2,
            0.9,
            0.8,
            "blurred too_dark",
            LesionMeasures(1, 1 / 6, 1, 0.1234567, 2.5, 1.5, box_left=0, colours=2),
        ),
        Row('b, "c".jpg', status="failed", error="it is broken, sadly"),
        Row("d.png", 3, 2, measures=LesionMeasures(0, 0.0, 0, None, 0.0, 0.0)),
    ]
    path = tmp_path / "new" / "table.csv"
    assert list(write_rows(rows, path)) == rows
    assert path.read_text() == (
        HEADER
        + "a.png,3,2,0.9,0.8,blurred too_dark,1,0.166667,1,0.123457,2.5,1.5,,,,,,0,,,,,,,,,2,,,done,\n"
        + '"b, ""c"".jpg",,,,,,,,,,,,,,,,,,,,,,,,,,,,,failed,"it is broken, sadly"\n'
        + "d.png,3,2,,,,0,0.0,0,,0.0,0.0,,,,,,,,,,,,,,,,,,done,\n"
    )


def test_rows_pass_on_one_by_one(tmp_path: Path) -> None:
    taken = []

    def rows() -> Iterator[Row]:
        for number in range(3):
            taken.append(number)
            yield Row(f"{number}.png")

    stream = write_rows(rows(), tmp_path / "table.csv")
    assert next(stream).image == "0.png"
    assert taken == [0]
    assert not (tmp_path / "table.csv").exists()


def test_a_stream_that_breaks_leaves_no_table(tmp_path: Path) -> None:
    def rows() -> Iterator[Row]:
        yield Row("a.png")
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError):
        list(write_rows(rows(), tmp_path / "table.csv"))
    assert not any(tmp_path.iterdir())


def test_failed_rows_say_so() -> None:
    assert [Row("a").failed, Row("a", status="failed").failed] == [False, True]


def test_a_parquet_table_has_the_same_columns_with_their_types(tmp_path: Path) -> None:
    measures = LesionMeasures(1, 1 / 6, 1, None, 2.5, 1.5, box_left=0, colours=2)
    rows = [
        Row("a.png", 3, 2, 0.9, 0.8, "blurred", measures),
        Row("b.png", status="failed", error="it is broken"),
    ]
    assert list(write_rows(rows, tmp_path / "table.parquet")) == rows
    table = parquet.read_table(tmp_path / "table.parquet")
    assert ",".join(table.column_names) + "\n" == HEADER
    kinds = dict(zip(table.column_names, map(str, table.schema.types), strict=True))
    assert [kinds[name] for name in ("image", "area", "expected_dice", "colours", "flags")] == [
        "string",
        "int64",
        "double",
        "int64",
        "string",
    ]
    first, second = table.to_pylist()
    assert (first["image"], first["area_share"], first["mean_spread"], first["colours"]) == (
        "a.png",
        0.166667,
        None,
        2,
    )
    assert (second["area"], second["error"]) == (None, "it is broken")
