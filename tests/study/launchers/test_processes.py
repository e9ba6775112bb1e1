import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.study.launchers.processes import Processes, gpu_shares

LAUNCH = """
import sys
from pathlib import Path
from toy_work import work
from mlffm_segdiff.study.launchers.processes import Processes

if __name__ == "__main__":
    for outcome in Processes(2, threads=1).launch(work, Path(sys.argv[1]), sys.argv[2:], print):
        print(outcome, flush=True)
"""


def test_cells_that_fail_or_die_are_told_and_the_others_go_on(run: Callable[..., Any], diary: Any) -> None:
    errors, begun = run(Processes(2, threads=2), "killed", "fails", "exits", "a", "b")
    assert begun == ["killed", "fails", "exits", "a", "b"]
    assert {key: (error or "done")[:24] for key, error in errors.items()} == {
        "killed": "its process was killed b",
        "fails": "ValueError: no such lesi",
        "exits": "its process ended with e",
        "a": "done",
        "b": "done",
    }
    assert diary.times("end") == {"a": 1, "b": 1}
    assert {threads for _, threads, *_ in diary.lines("sees")} == {"'2'"}


def test_as_many_run_at_once_as_there_are_workers_and_no_more(
    toy: Any, diary: Any, until: Callable[..., None]
) -> None:
    keys = ["a-waits", "b-waits", "c-waits"]
    at_once = []

    def watch(key: str) -> None:
        if key == "b-waits":
            until(lambda: len(diary.times("begin")) == 2)  # both are under way, and neither can end
            (diary.study / "go").touch()
        at_once.append(len(diary.times("begin")) - len(diary.times("end")))

    outcomes = list(Processes(2, threads=1).launch(toy, diary.study, keys, watch))
    assert [outcome.error for outcome in outcomes] == [None] * 3
    assert at_once[1] == 2
    assert at_once[2] <= 2


def test_closing_ends_the_cells_that_run(
    toy: Any, diary: Any, until: Callable[..., None], running: Callable[[], list[str]]
) -> None:
    outcomes = Processes(2, threads=1).launch(toy, diary.study, ["a", "b-waits", "c-waits"], lambda key: None)
    assert next(outcomes).key == "a"
    assert running()
    outcomes.close()
    until(lambda: not running())
    assert diary.times("end") == {"a": 1}


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_running_however_the_launcher_ends(
    how: signal.Signals,
    tmp_path: Path,
    toy: Any,
    diary: Any,
    until: Callable[..., None],
    running: Callable[[], list[str]],
) -> None:
    script = tmp_path / "launch.py"
    script.write_text(LAUNCH)
    launcher = subprocess.Popen(
        [sys.executable, script, diary.study, "a-waits", "b-waits", "c-waits"],
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    until(lambda: len(diary.times("begin")) == 2)
    assert len(running()) >= 3
    os.killpg(launcher.pid, how)  # as the terminal does: to all of the group
    output, _ = launcher.communicate(timeout=60)
    until(lambda: not running())
    assert b"Outcome" not in output
    assert output.count(b"Traceback") == (how == signal.SIGINT), "the cells say nothing"
    (diary.study / "go").touch()
    assert diary.times("begin") == {"a-waits": 1, "b-waits": 1}
    assert diary.times("end") == {}


@pytest.mark.parametrize(
    ("workers", "gpus", "expected"),
    [
        (2, 1, ["3", "5"]),
        (1, 2, ["3,5"]),
        (3, 0.5, ["3", "3", "5"]),
        (4, 0.4, ["3", "3", "5", "5"]),
        (3, 0, ["", "", ""]),
    ],
)
def test_each_worker_has_its_share_of_the_gpus(
    workers: int, gpus: float, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    assert gpu_shares(workers, gpus) == expected


@pytest.mark.parametrize(("workers", "gpus"), [(3, 1), (2, 2), (5, 0.5)])
def test_more_gpus_than_there_are_is_an_error(
    workers: int, gpus: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    with pytest.raises(UserError, match=f"{workers} workers with {gpus:g} GPUs each need .*, here are 2;"):
        gpu_shares(workers, gpus)


def test_a_cell_sees_its_gpus_alone(
    run: Callable[..., Any], diary: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    run(Processes(1, threads=1), "all")
    run(Processes(1, threads=1, gpus=1), "one")
    run(Processes(1, threads=1, gpus=0), "none")
    seen = {key: gpus for key, _, gpus, *_ in diary.lines("sees")}
    assert seen == {"all": "'3,5'", "one": "'3'", "none": "''"}
