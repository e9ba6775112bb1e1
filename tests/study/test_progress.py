import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mlffm_segdiff.config.study import Study
from mlffm_segdiff.study.plan import StudyPlan
from mlffm_segdiff.study.progress import State, StudyProgress
from mlffm_segdiff.study.runner import make_plan
from mlffm_segdiff.study.study_folder import StudyFolder

FILES = {"running": "running.json", "done": "finished.json", "failed": "failed.txt"}


@pytest.fixture
def progress(make_study: Callable[..., Study], tmp_path: Path) -> StudyProgress:
    folder = StudyFolder(tmp_path / "study")
    plan: StudyPlan = make_plan(make_study(), folder, {})
    return StudyProgress(plan, folder)


def put(progress: StudyProgress, place: int, state: State, seconds: float = 10.0) -> None:
    """Leave what a cell in this state has in its folder."""
    path = progress.folder.cell(progress.plan.cells[place].key).path
    path.mkdir(parents=True, exist_ok=True)
    for name in FILES.values():
        (path / name).unlink(missing_ok=True)
    record = {"seconds": seconds, "training_seconds": seconds, "images": 16, "resumed": False}
    origin = {"training_code": "0123", "python": "3.11.7", "packages": {}}
    (path / FILES[state]).write_text(json.dumps(record | origin))


def test_cells_wait_until_something_is_known(progress: StudyProgress) -> None:
    states: tuple[State, ...] = ("waiting", "running", "done", "failed")
    assert [progress.count(state) for state in states] == [4, 0, 0, 0]
    assert progress.seconds_left() is None
    assert progress.summary() == "0 of 4 cells done, 0 running, 0 failed, time left ?"


def test_time_left_is_the_mean_of_finished_cells_shared_by_the_running_ones(progress: StudyProgress) -> None:
    put(progress, 0, "done")
    assert progress.seconds_left() == 30.0
    put(progress, 1, "running")
    put(progress, 2, "running")
    assert progress.seconds_left() == 15.0
    put(progress, 1, "done", seconds=20.0)
    assert progress.seconds_left() == 30.0
    put(progress, 2, "failed")
    put(progress, 3, "done")
    assert progress.seconds_left() == 0.0
    assert progress.summary() == "3 of 4 cells done, 0 running, 1 failed"


def test_some_cells_can_be_counted(progress: StudyProgress) -> None:
    put(progress, 0, "done")
    put(progress, 1, "done")
    put(progress, 2, "failed")
    assert progress.count("done", cells=progress.plan.cells[1:]) == 1
    assert progress.count("done", "failed") == 3
