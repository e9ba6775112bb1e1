import csv
import io
import json
import os
import shutil
import subprocess
from importlib.resources import files

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlffm_segdiff.files.csv_columns import read_rows
from mlffm_segdiff.files.csv_text import csv_line, csv_table, guarded, unguarded

CELLS = {
    "=cmd|' /C calc'!A0.png": "'=cmd|' /C calc'!A0.png",
    "+1 (555) 1.png": "'+1 (555) 1.png",
    "-2+3+cmd.png": "'-2+3+cmd.png",
    "@SUM(A1:A2)": "'@SUM(A1:A2)",
    "\tx": '"\'\tx"',
    "\rx": '"\'\rx"',
    "＝1": "'＝1",  # noqa: RUF001
    "'=1": "''=1",
    "'quoted'": "'quoted'",
    "-1.5": "-1.5",
    "+2e-3": "+2e-3",
    "-.5": "-.5",
    "--5": "'--5",
    "-": "'-",
    "a;=1": '"a;=1"',
    'b, "c"': '"b, ""c"""',
    "plain.png": "plain.png",
    "": "",
}


@pytest.mark.parametrize(("value", "cell"), CELLS.items())
def test_no_cell_starts_a_formula_and_numbers_stay_numbers(value: str, cell: str) -> None:
    assert csv_line([value]) == f"{cell}\n"
    (row,) = csv.reader(io.StringIO(csv_line([value, "end"]), newline=""))
    assert unguarded(row[0]) == value


def test_numbers_and_gaps_are_written_as_python_does() -> None:
    assert csv_line([-1.5, 3, None, 1e-07, True]) == "-1.5,3,,1e-07,True\n"


@given(st.lists(st.lists(st.text(st.characters(codec="utf-8")), min_size=2, max_size=2), max_size=5))
def test_pythons_reader_gives_back_what_was_written(rows: list[list[str]]) -> None:
    read = list(csv.reader(io.StringIO(csv_table(["a", "b"], rows), newline="")))
    assert [[unguarded(text) for text in row] for row in read] == [["a", "b"], *rows]


@given(st.text())
def test_a_guard_is_removed_exactly(text: str) -> None:
    assert unguarded(guarded(text)) == text


def test_bytes_of_another_encoding_become_backslashes_that_pandas_reads() -> None:
    table = csv_table(["image"], [[os.fsdecode(b"L\xe4sion.png")]]).encode("utf-8")
    assert pd.read_csv(io.BytesIO(table))["image"].tolist() == ["L\\udce4sion.png"]


def test_columns_are_read_without_their_guard() -> None:
    table = csv_table(["id", "part"], [["=a", "train"], ["-1", "test"]]).encode()
    assert [row for _, row in read_rows(table, "split.csv", ("id", "part"))] == [
        ("=a", "train"),
        ("-1", "test"),
    ]


@pytest.mark.parametrize(
    "script", ["inference/outputs/review_page.js", "serve/page/csv.js"], ids=["review", "serve"]
)
def test_the_pages_write_the_same_cells(script: str) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("no Node.js here: the cells of the pages were NOT tested")
    source = files("mlffm_segdiff").joinpath(script).read_text(encoding="utf-8")
    function = source[source.index("function csvCell") :]
    function = function[: function.index("\n}\n") + 3]
    values = [*CELLS, -1.5, 3, None]
    code = f"{function}console.log(JSON.stringify({json.dumps(values)}.map(csvCell)))"
    printed = subprocess.run([node, "-e", code], check=True, capture_output=True, text=True).stdout
    assert json.loads(printed) == [*CELLS.values(), "-1.5", "3", ""]
