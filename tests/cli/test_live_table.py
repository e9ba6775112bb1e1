import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from mlffm_segdiff.cli.live_table import LiveTable
from mlffm_segdiff.segmenters.recipe import load_recipe
from mlffm_segdiff.study.cells import Cell
from mlffm_segdiff.study.plan import StudyPlan
from mlffm_segdiff.study.progress import StudyProgress
from mlffm_segdiff.study.study_folder import StudyFolder


def cell(variant: str, dataset: str, seed: int) -> Cell:
    return Cell(f"{variant}-{dataset}-{seed}", variant, dataset, seed, "split", load_recipe("ph2"))


@pytest.fixture
def progress(tmp_path: Path) -> StudyProgress:
    """Of eight cells two are done in 100 s each, two run, one failed."""
    cells = [cell(v, d, s) for s in (0, 1) for d in ("isic2018", "ph2") for v in ("full", "plain [loss]")]
    files = ("finished.json", "finished.json", "failed.txt", "running.json", "running.json")
    folder = StudyFolder(tmp_path)
    times = {"seconds": 100.0, "training_seconds": 90.0, "images": 16, "resumed": False}
    record = json.dumps({**times, "training_code": "0123", "python": "3.11.7", "packages": {}})
    for one, name in zip(cells, files, strict=False):
        folder.cell(one.key).path.mkdir(parents=True)
        (folder.cell(one.key).path / name).write_text(record)
    return StudyProgress(StudyPlan("s", "full", "test", {}, 1, {}, cells), folder)


def shown(progress: StudyProgress, terminal: bool) -> tuple[LiveTable, io.StringIO]:
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=100, markup=False, highlight=False)
    return LiveTable(progress, console), file


def test_the_table_has_a_row_a_variant_and_a_column_a_data_set(progress: StudyProgress) -> None:
    table, file = shown(progress, terminal=True)
    table.console.print(table.draw())
    lines = [line for line in file.getvalue().splitlines() if "full" in line or "plain" in line]
    cells = [[part.strip() for part in line.strip("│").split("│")] for line in lines]
    assert cells == [
        ["full", "1/2, 1 running", "0/2, 1 failed"],
        ["plain [loss]", "1/2", "0/2, 1 running"],
    ]
    assert (
        "2 of 8 cells done, 2 running, 1 failed, time left 4 min" in file.getvalue()
    )  # 5 x 100 s, two at once


def test_the_table_stays_on_the_terminal_and_failures_above_it(progress: StudyProgress) -> None:
    table, file = shown(progress, terminal=True)
    failed, done = progress.plan.cells[2], progress.plan.cells[0]
    with table.shown():
        table.print_end(done, None)
        table.print_end(failed, "no memory")
    assert f"{failed.key} full, ph2, seed 0: failed: no memory; " in file.getvalue()
    assert f"{done.key} full" not in file.getvalue()
    assert "1/2, 1 running" in file.getvalue()


def test_elsewhere_there_is_one_line_a_cell(progress: StudyProgress) -> None:
    table, file = shown(progress, terminal=False)
    with table.shown():
        for one, error in zip(progress.plan.cells[:3], (None, None, "no memory " * 20), strict=True):
            table.print_end(one, error)
    first, *lines = file.getvalue().splitlines()
    assert first == progress.summary()
    assert [line.split(": ")[0] for line in lines] == [f"{one.key} {one}" for one in progress.plan.cells[:3]]
    assert "done in 2 min; 2 of 8" in lines[0]
    assert "failed: no memory" in lines[2]
