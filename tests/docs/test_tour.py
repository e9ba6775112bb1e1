"""The notebook runs from top to bottom; what it would print is not kept in it."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "docs" / "tour.ipynb"
FAST = (
    ("count=40, side=96", "count=20, side=48"),
    (
        "train.images=640 train.validate_every=320",
        "train.images=16 train.batch_size=8 train.validate_every=16",
    ),
    ("data.size=64", "data.size=32"),
    ("pictures[:6]", "pictures[:2]"),
    ("masks[:6]", "masks[:2]"),
    ("samples=3", "samples=1"),
    ("--threads 2", "--threads 1"),
)


def run(notebook: str, folder: Path) -> list[dict[str, object]]:
    """Run a notebook (JSON) and return what its cells gave. Raises CellExecutionError."""
    nbformat = pytest.importorskip("nbformat", reason="the notebook needs the extra docs")
    nbclient = pytest.importorskip("nbclient", reason="the notebook needs the extra docs")
    ready = nbformat.reads(notebook, as_version=4)
    nbclient.NotebookClient(ready, timeout=240, resources={"metadata": {"path": str(folder)}}).execute()
    return [output for cell in ready.cells for output in cell.get("outputs", [])]


def test_it_keeps_no_output() -> None:
    cells = [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]
    assert len(cells) > 6
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)


def test_it_runs_in_little(tmp_path: Path) -> None:
    text = NOTEBOOK.read_text()
    for long, short in FAST:
        assert long in text
        text = text.replace(long, short)
    outputs = run(text, tmp_path)
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 3


@pytest.mark.slow
def test_it_runs_as_it_is(tmp_path: Path) -> None:
    outputs = run(NOTEBOOK.read_text(), tmp_path)
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 3
