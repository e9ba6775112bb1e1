import sys
from pathlib import Path
from pkgutil import resolve_name

import pytest

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.schema import SamplingConfig
from mlffm_segdiff.inference.outputs.writers import WRITERS, Output, Writer, case_files, make_writers


def test_every_output_of_the_table_is_a_writer() -> None:
    writers = make_writers(Output(Path("x"), tuple(WRITERS)), SamplingConfig(samples=2))
    assert set(writers) == set(WRITERS)
    assert all(isinstance(writer, Writer) for writer in writers.values())
    assert all(issubclass(resolve_name(place), Writer) for place in WRITERS.values())


def test_writers_that_need_the_image_come_last() -> None:
    writers = make_writers(Output(Path("x"), ("overlay", "coco", "nnunet", "review")), SamplingConfig())
    assert list(writers) == ["coco", "review", "overlay", "nnunet"]


def test_an_unknown_output_is_named_with_the_known_ones() -> None:
    with pytest.raises(
        UserError, match="'overlays' is not an output; choose from probability, spread, overl"
    ):
        make_writers(Output(Path("x"), ("overlays",)), SamplingConfig())


@pytest.mark.parametrize("samples", [0, 1])
def test_a_map_of_the_spread_needs_samples(samples: int) -> None:
    with pytest.raises(UserError, match=f"needs samples, but {samples} are drawn; set samples to 2 or more"):
        make_writers(Output(Path("x"), ("spread",)), SamplingConfig(samples=samples))


def test_a_missing_package_is_reported_before_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    make_writers(Output(Path("x"), ("dicom-seg",)), SamplingConfig())
    monkeypatch.setitem(sys.modules, "highdicom", None)
    with pytest.raises(UserError, match=r"highdicom is not installed.*\[dicom\]"):
        make_writers(Output(Path("x"), ("dicom-seg",)), SamplingConfig())


def test_a_parquet_table_without_pyarrow_is_reported_before_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UserError, match=r"pyarrow is not installed.*\[table\]"):
        make_writers(Output(Path("x"), table="parquet"), SamplingConfig())


def test_writers_name_all_files_that_they_write_and_no_two_the_same() -> None:
    output = Output(Path("x"), tuple(WRITERS))
    writers = make_writers(output, SamplingConfig(samples=2))
    files = case_files("a.b", output, writers)
    assert files == (
        "masks/a.b.png",
        "probabilities/a.b.png",
        "spreads/a.b.png",
        "contours/a.b.geojson",
        "dicom-seg/a.b.dcm",
        "review/a.b.jpg",
        "overlays/a.b.jpg",
        "bands/a.b.jpg",
        "nnunet/imagesTs/a.b_0000.png",
        "nnunet/labelsTs/a.b.png",
    )
    of_run = [name for writer in writers.values() for name in writer.run_files]
    assert of_run == ["coco.json", "cvat.xml", "labelstudio.json", "review.html", "nnunet/dataset.json"]
