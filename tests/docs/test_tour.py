"""The notebook runs from top to bottom and is stored without outputs."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "docs" / "tour.ipynb"
FAST = (
    ("count=40, side=96", "count=8, side=48"),
    ("images[:6]", "images[:2]"),
    ("masks[:6]", "masks[:2]"),
    ('\\"samples\\": 8', '\\"samples\\": 2'),
    ("data.size=64", "data.size=32"),
    ("train.images=640", "train.images=16"),
    ("train.validate_every=320", "train.validate_every=16"),
)


def run(notebook: str, folder: Path) -> list[dict[str, object]]:
    """Run a notebook (JSON) and return the outputs of its cells. Raises CellExecutionError."""
    nbformat = pytest.importorskip("nbformat", reason="the notebook needs the extra docs")
    nbclient = pytest.importorskip("nbclient", reason="the notebook needs the extra docs")
    ready = nbformat.reads(notebook, as_version=4)
    nbclient.NotebookClient(ready, timeout=240, resources={"metadata": {"path": str(folder)}}).execute()
    return [output for cell in ready.cells for output in cell.get("outputs", [])]


def test_the_tour_keeps_no_output() -> None:
    cells = [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]
    assert len(cells) > 6
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)


def test_the_tour_runs_in_small(tmp_path: Path) -> None:
    text = NOTEBOOK.read_text()
    for long, short in FAST:
        assert long in text
        text = text.replace(long, short)
    outputs = run(text, tmp_path)
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 4


@pytest.mark.slow
def test_the_tour_runs_as_it_is(tmp_path: Path) -> None:
    outputs = run(NOTEBOOK.read_text(), tmp_path)
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 4
