import sys
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.inference.outputs.parquet import GROUP, parquet_writer

COLUMNS = {"image": str, "area": int, "share": float}


def test_pyarrow_reads_types_values_and_gaps_back(tmp_path: Path) -> None:
    rows = [
        {"image": "a.png", "area": 7, "share": 0.25},
        {"image": "caf\udce9.png", "area": None, "share": None},
    ]
    with parquet_writer(tmp_path / "t.parquet", COLUMNS) as add:
        for row in rows:
            add(row)
    table = parquet.read_table(tmp_path / "t.parquet")
    assert table.schema.types == [pyarrow.string(), pyarrow.int64(), pyarrow.float64()]
    assert table.to_pylist() == [rows[0], {**rows[1], "image": "caf\\udce9.png"}]


@pytest.mark.parametrize("count", [0, GROUP, GROUP + 1])
def test_any_number_of_rows_is_kept_in_order(tmp_path: Path, count: int) -> None:
    with parquet_writer(tmp_path / "t.parquet", COLUMNS) as add:
        for number in range(count):
            add({"image": "", "area": number, "share": None})
    assert parquet.read_table(tmp_path / "t.parquet")["area"].to_pylist() == list(range(count))


def test_without_pyarrow_the_error_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with (
        pytest.raises(UserError, match=r"pyarrow is not installed.*\[table\]"),
        parquet_writer(tmp_path / "t.parquet", COLUMNS),
    ):
        pass
