"""submitit's executor of local processes."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from waiting import wait_until

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.study import LauncherConfig
from mlffm_segdiff.study.launchers import make_launcher
from mlffm_segdiff.study.launchers.submitit_jobs import SubmititJobs

LAUNCH = """
import sys
from pathlib import Path
from toy_work import work
from mlffm_segdiff.config.study import LauncherConfig
from mlffm_segdiff.study.launchers.submitit_jobs import SubmititJobs

launcher = SubmititJobs(LauncherConfig(name="local", workers=2), threads=1)
for outcome in launcher.launch(work, Path(sys.argv[1]), sys.argv[2:]):
    print(outcome, flush=True)
"""


@pytest.fixture(autouse=True)
def _local_file_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("submitit.Job._results_timeout_s", 0)  # results on a network may come late


def local(workers: int = 2, threads: int = 1) -> SubmititJobs:
    return SubmititJobs(LauncherConfig(name="local", workers=workers), threads)


def test_cells_that_fail_or_die_are_named_and_the_others_run(
    run: Callable[..., Any], diary: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    errors = run(local(threads=2), "killed", "fails", "exits", "a", "b")
    assert errors["fails"] == "ValueError: no such lesion"
    for key in ("killed", "exits"):
        assert re.match(r"job \d+ ended without a result; see /.*\.err$", errors[key])
    assert {key for key, error in errors.items() if error is None} == {"a", "b"}
    assert diary.times("end") == {"a": 1, "b": 1}
    assert {tuple(seen) for _, *seen in diary.lines("sees")} == {("'2'", "'3,5'", str(Path.cwd()))}


def test_as_many_run_at_once_as_there_are_workers(toy: Any, diary: Any) -> None:
    counts = []

    def watch() -> None:
        wait_until(lambda: len(diary.times("begin")) == 2)  # both run, and neither can end
        counts.append(len(diary.times("begin")))
        (diary.study / "go").touch()

    Thread(target=watch, daemon=True).start()
    outcomes = list(local().launch(toy, diary.study, ["a-waits", "b-waits", "c-waits"]))
    assert [outcome.error for outcome in outcomes] == [None] * 3
    assert counts == [2]


def test_as_many_run_as_the_machine_has_processors_for(monkeypatch: pytest.MonkeyPatch) -> None:
    module = import_module("mlffm_segdiff.study.launchers.base")
    monkeypatch.setattr(module, "processors", lambda: 8)
    config = LauncherConfig(name="local")
    assert [SubmititJobs(config, threads).at_once for threads in (1, 3, 16)] == [8, 2, 1]


def test_closing_ends_the_cells_that_run(toy: Any, diary: Any, running: Callable[[], list[str]]) -> None:
    outcomes = local().launch(toy, diary.study, ["a", "b-waits", "c-waits"])
    assert next(outcomes).key == "a"
    wait_until(lambda: len(diary.times("begin")) >= 2)
    outcomes.close()
    wait_until(lambda: not running())
    assert diary.times("end") == {"a": 1}


def test_ctrl_c_ends_the_cells_and_a_kill_leaves_them_to_end(
    tmp_path: Path, toy: Any, diary: Any, running: Callable[[], list[str]]
) -> None:
    (tmp_path / "launch.py").write_text(LAUNCH)
    command = [sys.executable, str(tmp_path / "launch.py"), str(diary.study)]
    launcher = subprocess.Popen([*command, "a-waits"], start_new_session=True, stderr=subprocess.DEVNULL)
    wait_until(lambda: len(diary.times("begin")) == 1)
    os.killpg(launcher.pid, signal.SIGINT)  # as the terminal does: to all of the group
    launcher.wait(60)
    wait_until(lambda: not running())
    assert diary.times("end") == {}

    launcher = subprocess.Popen([*command, "b-waits"], start_new_session=True, stderr=subprocess.DEVNULL)
    wait_until(lambda: "b-waits" in diary.times("begin"))
    launcher.kill()
    launcher.wait(60)
    assert running()
    (diary.study / "go").touch()
    wait_until(lambda: not running())
    assert diary.times("end") == {"b-waits": 1}


def test_a_preempted_cell_is_requeued_and_finishes_once(run: Callable[..., Any], diary: Any) -> None:
    """The signal that Slurm sends ahead of preemption, to the process of the job."""

    def preempt() -> None:
        wait_until(lambda: diary.times("begin").get("waits") == 1)
        ((_, process, _),) = diary.lines("begin")
        os.kill(int(process), signal.SIGUSR2)
        wait_until(lambda: diary.times("begin")["waits"] == 2)
        (diary.study / "go").touch()

    Thread(target=preempt, daemon=True).start()
    assert run(local(), "waits") == {"waits": None}
    assert diary.times("end") == {"waits": 1}


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "submitit", None)
    monkeypatch.delitem(sys.modules, "mlffm_segdiff.study.launchers.submitit_jobs")
    with pytest.raises(UserError, match=r"submitit is not installed; .*\[cluster\]\""):
        make_launcher(LauncherConfig(name="slurm"), 1)
