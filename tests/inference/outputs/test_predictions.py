import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas
import pytest
from pyarrow import parquet

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.inference.analysis import Processing, analyse
from mlffm_segdiff.inference.measures.lesion_measures import LesionMeasures
from mlffm_segdiff.inference.model import Model
from mlffm_segdiff.inference.outputs.predictions import Intervals, Row, write_rows
from mlffm_segdiff.inference.outputs.writers import Output
from mlffm_segdiff.inference.predict import predict_files
from mlffm_segdiff.inference.reading.case_image import read_image
from mlffm_segdiff.inference.result import CaseResult

MakeModel = Callable[..., Model]
Photo = Callable[..., npt.NDArray[np.uint8]]
Save = Callable[..., Path]

HEADER = (
    "image,width,height,expected_dice,certainty,flags,outlier_score,expected_human_agreement,"
    "area,area_share,components,mean_spread,perimeter,equivalent_diameter,"
    "area_mm2,perimeter_mm,equivalent_diameter_mm,centroid_x,centroid_y,"
    "box_left,box_top,box_width,box_height,asymmetry_major,asymmetry_minor,"
    "compactness,solidity,fractal_index,colours,colour_distance,colour_spread,"
    "interval_level,expected_dice_low,expected_dice_high,area_low,area_high,"
    "equivalent_diameter_low,equivalent_diameter_high,area_mm2_low,area_mm2_high,"
    "equivalent_diameter_mm_low,equivalent_diameter_mm_high,calibration_cases,status,error\n"
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
            Intervals(0.9, 0.8, 0.95, 0.5, 2.25, calibration_cases="ham10000=1800 ph2=20"),
            0.75,
            0.875,
        ),
        Row('b, "c".jpg', status="failed", error="it is broken, sadly"),
        Row("d.png", 3, 2, measures=LesionMeasures(0, 0.0, 0, None, 0.0, 0.0)),
    ]
    path = tmp_path / "new" / "table.csv"
    assert list(write_rows(rows, path)) == rows
    assert path.read_text() == (
        HEADER
        + "a.png,3,2,0.9,0.8,blurred too_dark,0.75,0.875,1,0.166667,1,0.123457,2.5,1.5,,,,,,0,,,,,,,,,2,,,"
        + "0.9,0.8,0.95,0.5,2.25,,,,,,,ham10000=1800 ph2=20,done,\n"
        + f'"b, ""c"".jpg"{43 * ","}failed,"it is broken, sadly"\n'
        + f"d.png,3,2,,,,,,0,0.0,0,,0.0,0.0{30 * ','}done,\n"
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


def test_a_fault_of_an_output_keeps_the_status_of_an_image_without_a_mask() -> None:
    for status in ("failed", "refused"):
        row = Row("a", status=status, error="unreadable").with_fault("review: no")
        assert (row.status, row.error) == (status, "unreadable; review: no")
    assert Row("a").with_fault("review: no").status == "incomplete"


def test_a_parquet_table_has_the_same_columns_with_their_types(tmp_path: Path) -> None:
    measures = LesionMeasures(1, 1 / 6, 1, None, 2.5, 1.5, box_left=0, colours=2)
    rows = [
        Row("a.png", 3, 2, 0.9, 0.8, "blurred", measures, Intervals(0.9, area_low=0.5, area_high=2.25)),
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
    assert (first["interval_level"], first["area_low"], first["area_high"]) == (0.9, 0.5, 2.25)
    assert (second["area"], second["area_low"], second["error"]) == (None, None, "it is broken")


def test_the_intervals_of_a_run_are_read_back_from_its_table(
    tmp_path: Path, photo: Photo, save: Save, red_model: MakeModel, calibrated: MakeModel
) -> None:
    images = [save(tmp_path / f"p{seed}.png", photo(seed)) for seed in range(3)]
    model = calibrated(red_model(samples=0))
    how = Processing(mm_per_pixel=0.5, level=95)
    list(predict_files(images, model, Output(tmp_path / "out"), how))
    rows = pandas.read_csv(tmp_path / "out" / "predictions.csv")
    for row, found in zip(rows.itertuples(), segment_all(images, model, how), strict=True):
        assert (row.interval_level, row.calibration_cases) == (0.95, "ph2=100")
        for name, estimate in (("area", found.area), ("area_mm2", found.area_mm2)):
            ends = getattr(row, f"{name}_low"), getattr(row, f"{name}_high")
            assert ends == pytest.approx(estimate.interval(0.95), abs=1e-6)
            assert ends[0] <= getattr(row, name) <= ends[1]
        assert row.area_mm2_high == pytest.approx(row.area_high / 4, abs=1e-6)
        assert row.equivalent_diameter_high**2 * math.pi / 4 == pytest.approx(row.area_high, abs=1e-3)
        assert row.expected_dice_low <= row.expected_dice <= row.expected_dice_high


def segment_all(images: list[Path], model: Model, how: Processing) -> list[CaseResult]:
    cases = [read_image(path, model.size) for path in images]
    found = model.segment([case.network_input for case in cases], lambda _: None)
    return [analyse(case, one, model, how) for case, one in zip(cases, found, strict=True)]


def test_without_a_calibration_the_cells_of_intervals_are_empty(
    tmp_path: Path, photo: Photo, save: Save, red_model: MakeModel, calibrated: MakeModel
) -> None:
    image = save(tmp_path / "a.png", photo(0))
    for model, how in (
        (red_model(), Processing()),
        (calibrated(red_model()), Processing(threshold=0.4)),
    ):
        (row,) = predict_files([image], model, Output(tmp_path / "out"), how)
        assert row.intervals == Intervals()


def test_a_level_that_is_not_calibrated_is_refused_before_anything_is_written(
    tmp_path: Path, photo: Photo, save: Save, red_model: MakeModel, calibrated: MakeModel
) -> None:
    image = save(tmp_path / "a.png", photo(0))
    model = calibrated(red_model(), levels=(0.8, 0.9))
    with pytest.raises(UserError, match=r"level 0\.95 is not calibrated; choose from 0\.8, 0\.9"):
        list(predict_files([image], model, Output(tmp_path / "out"), Processing(level=0.95)))
    assert not (tmp_path / "out").exists()
