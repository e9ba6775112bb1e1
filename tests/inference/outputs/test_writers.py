import sys
from pathlib import Path
from pkgutil import resolve_name

import pytest

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.inference.outputs.predictions import Row, write_rows
from mlffm_segdiff.inference.outputs.writers import WRITERS, Output, Writer, make_writers
from mlffm_segdiff.segmenters.base import Sampling


def test_every_output_of_the_table_is_a_writer() -> None:
    writers = make_writers(Output(Path("x"), tuple(WRITERS)), Sampling(samples=2))
    assert set(writers) == set(WRITERS)
    assert all(isinstance(writer, Writer) for writer in writers.values())
    assert all(issubclass(resolve_name(place), Writer) for place in WRITERS.values())


def test_writers_that_need_the_image_come_last() -> None:
    writers = make_writers(Output(Path("x"), ("overlay", "coco", "nnunet", "review")), Sampling())
    assert list(writers) == ["coco", "review", "overlay", "nnunet"]


def test_an_unknown_output_is_named_with_the_known_ones() -> None:
    with pytest.raises(
        UserError, match="'overlays' is not an output; choose from probability, spread, overl"
    ):
        make_writers(Output(Path("x"), ("overlays",)), Sampling())


@pytest.mark.parametrize("samples", [0, 1])
def test_a_map_of_the_spread_needs_samples(samples: int) -> None:
    with pytest.raises(UserError, match=f"needs samples, but {samples} are drawn; set samples to 2 or more"):
        make_writers(Output(Path("x"), ("spread",)), Sampling(samples=samples))


def test_a_missing_package_is_reported_before_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    make_writers(Output(Path("x"), ("dicom-seg",)), Sampling())
    monkeypatch.setitem(sys.modules, "highdicom", None)
    with pytest.raises(UserError, match=r"highdicom is not installed.*\[dicom\]"):
        make_writers(Output(Path("x"), ("dicom-seg",)), Sampling())


def test_a_parquet_table_without_pyarrow_is_reported_before_the_first_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    rows = iter([Row("a.png")])
    with pytest.raises(UserError, match=r"pyarrow is not installed.*\[table\]"):
        next(write_rows(rows, Output(tmp_path, table="parquet").table_path))
    assert next(rows).image == "a.png"
