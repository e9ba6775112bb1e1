"""Real clusters of one and two machines, all of them here.

They and the launcher are separate processes: Ray is not imported into the process of the tests.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cluster.machines import SECONDS, SETTINGS, local_cluster
from waiting import wait_until

from mlffm_segdiff.study.plan import read_plan
from mlffm_segdiff.study.study_folder import StudyFolder

SOURCE = Path(__file__).parents[3] / "src"
pytestmark = pytest.mark.timeout(SECONDS)

LAUNCH = """
import json, sys
from importlib import import_module
from pathlib import Path
from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.study import LauncherConfig
from mlffm_segdiff.study.launchers.ray_tasks import RayTasks

module, work, study, options, *keys = sys.argv[1:]
options = json.loads(options)
launcher = RayTasks(LauncherConfig(name="ray", **options), options.pop("threads", 1))
try:
    for outcome in launcher.launch(getattr(import_module(module), work), Path(study), keys):
        print(json.dumps([outcome.key, outcome.error]), flush=True)
except UserError as error:
    print(json.dumps(["refused", str(error)]))
"""


@pytest.fixture(scope="module", autouse=True)
def _nothing_is_left(processes_with: Callable[[str], list[str]]) -> Iterator[None]:
    mark = uuid.uuid4().hex
    with pytest.MonkeyPatch.context() as patch:
        for name, text in SETTINGS.items():
            patch.setenv(name, text)
        patch.setenv("LAUNCHERS_RAY_TEST", mark)
        yield
    wait_until(lambda: not processes_with(mark))


@pytest.fixture(scope="module")
def address(_nothing_is_left: None) -> Iterator[str]:
    """One machine with two processors and one GPU that it only declares."""
    with local_cluster(1, 2) as (address, _):
        yield address


@pytest.fixture
def start(diary: Any, toy: Any) -> Callable[..., "subprocess.Popen[str]"]:
    """Start a process that launches the toy's keys with these options of the launcher."""

    def launch(*keys: str, **options: Any) -> "subprocess.Popen[str]":
        arguments = ("toy_work", "work", str(diary.study), json.dumps(options), *keys)
        command = [sys.executable, "-c", LAUNCH, *arguments]
        return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    return launch


def outcomes(launcher: "subprocess.Popen[str]", quiet: bool = True) -> dict[str, str | None]:
    printed, errors = launcher.communicate(timeout=SECONDS)
    assert launcher.returncode == 0, errors
    assert not (quiet and errors), "Ray prints nothing"
    lines = [json.loads(line) for line in printed.splitlines()]
    assert len(lines) == len(dict(lines))
    return dict(lines)


def test_a_local_cluster_runs_the_cells_with_their_share_and_ends(
    start: Callable[..., Any], diary: Any, running: Callable[[], list[str]]
) -> None:
    found = outcomes(start("a", "fails", "b", address="local"))
    assert found == {"a": None, "fails": "ValueError: no such lesion", "b": None}
    assert diary.times("begin") == {"a": 1, "fails": 1, "b": 1}
    seen = {(threads, directory) for _, threads, _, directory in diary.lines("sees")}
    assert seen == {("'1'", str(Path.cwd()))}
    wait_until(lambda: not running())


@pytest.mark.slow
def test_nothing_is_left_of_a_local_cluster_when_the_command_is_killed(
    start: Callable[..., Any], diary: Any, running: Callable[[], list[str]]
) -> None:
    launcher = start("a-waits", address="local")
    wait_until(lambda: diary.times("begin") == {"a-waits": 1})
    launcher.kill()
    launcher.communicate()
    wait_until(lambda: not running())
    assert diary.times("end") == {}


def test_a_cell_without_gpus_sees_none_of_the_machine(
    start: Callable[..., Any], diary: Any, address: str
) -> None:
    assert outcomes(start("a", address=address)) == {"a": None}
    assert [gpus for _, _, gpus, _ in diary.lines("sees")] == ["''"]


@pytest.mark.slow
def test_a_real_cell_gives_the_scores_of_the_uninterrupted_study(whole: StudyFolder, tmp_path: Path) -> None:
    folder, key = StudyFolder(tmp_path / "again"), read_plan(whole.plan).cells[0].key
    folder.path.mkdir()
    shutil.copy(whole.plan, folder.plan)
    arguments = ("mlffm_segdiff.study.run_cell", "run_cell", str(folder.path), '{"address": "local"}', key)
    environment = os.environ | {"PYTHONPATH": str(SOURCE)}
    printed = subprocess.check_output([sys.executable, "-c", LAUNCH, *arguments], text=True, env=environment)
    assert json.loads(printed) == [key, None]
    for file in ("scores/recipe/cases.csv", "run/weights/model.safetensors"):
        assert (folder.cell(key).path / file).read_bytes() == (whole.cell(key).path / file).read_bytes()


def test_ctrl_c_ends_the_cells_and_not_the_cluster(
    start: Callable[..., Any], diary: Any, address: str
) -> None:
    launcher = start("waits", address=address, gpus=0.5)
    wait_until(lambda: diary.times("begin") == {"waits": 1})
    launcher.send_signal(signal.SIGINT)
    launcher.communicate(timeout=SECONDS)
    ((_, process, _),) = diary.lines("begin")
    wait_until(lambda: not Path("/proc", process).exists())
    assert diary.times("end") == {}
    assert [gpus for _, _, gpus, _ in diary.lines("sees")] == ["'0'"]
    refused = outcomes(start("a", address=address, threads=3, gpus=1))["refused"]
    assert refused == "no machine of the Ray cluster has CPU 3, GPU 1; request less per cell"


def test_no_cluster_at_the_address_is_reported(start: Callable[..., Any]) -> None:
    refused = outcomes(start("a", address="127.0.0.1:9"))["refused"]
    assert refused is not None
    assert refused.startswith("no Ray cluster at '127.0.0.1:9' (ConnectionRefusedError")


@pytest.mark.slow
def test_every_cell_finishes_once_though_a_machine_is_lost(start: Callable[..., Any], diary: Any) -> None:
    with local_cluster(0, 1, 1) as (address, lose_one):
        launcher = start("a-waits", "b-waits", "c", "d", address=address)
        wait_until(lambda: len(diary.times("begin")) == 2)
        pids = [pid for _, pid, _ in diary.lines("begin")]
        lose_one()
        wait_until(lambda: not all(Path("/proc", pid).exists() for pid in pids))
        (diary.study / "go").touch()
        found = outcomes(launcher, quiet=False)  # Ray may report the loss, but not among the outcomes
        assert found == {"a-waits": None, "b-waits": None, "c": None, "d": None}
    assert diary.times("end") == {"a-waits": 1, "b-waits": 1, "c": 1, "d": 1}
    assert sorted(diary.times("begin").values()) == [1, 1, 1, 2], "one was lost and started again"
