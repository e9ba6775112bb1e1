"""Real clusters of one and two machines, all of them here.

They and what speaks to them are processes of their own: Ray is not imported into the process of the tests.
"""

import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

import pytest

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.study.folder import StudyFolder
from mlffm_segdiff.study.launchers.base import Outcome
from mlffm_segdiff.study.launchers.ray_cluster import RayCluster
from mlffm_segdiff.study.lock import read_lock
from mlffm_segdiff.study.run_cell import run_cell

SOURCE = Path(__file__).parents[3] / "src"

CLUSTER = """
import sys
from ray.cluster_utils import Cluster

cluster = Cluster()
gpus, *processors = map(int, sys.argv[1:])
machines = [
    cluster.add_node(num_cpus=count, num_gpus=gpus, object_store_memory=80 * 2**20, include_dashboard=False)
    for count in processors
]
print(cluster.address, flush=True)
for _ in sys.stdin:
    cluster.remove_node(machines.pop(), allow_graceful=False)
cluster.shutdown()
"""
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_TOKEN": "0" * 64,  # else Ray makes one in the user's home
    "RAY_worker_niceness": "0",
    "RAY_memory_monitor_refresh_ms": "0",
    "RAY_health_check_initial_delay_ms": "0",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_failure_threshold": "3",
}


@contextmanager
def local_cluster(*numbers: int) -> Iterator[tuple[str, Callable[[], None]]]:
    """Give the address of a cluster and what takes its last machine away. numbers: GPUs of a machine, and the
    processors of each."""
    with TemporaryDirectory(prefix="ray", dir="/tmp", ignore_cleanup_errors=True) as folder:
        environment = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
        cluster = subprocess.Popen(
            [sys.executable, "-c", CLUSTER, *map(str, numbers)],
            env=environment | {"RAY_TMPDIR": folder},
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert cluster.stdin is not None
        assert cluster.stdout is not None
        stdin = cluster.stdin

        def lose_one() -> None:
            stdin.write("\n")
            stdin.flush()

        try:
            address = next(line for line in cluster.stdout if ":" in line).strip()
            yield address, lose_one
        finally:
            stdin.close()
            cluster.wait(60)
            cluster.stdout.close()


@pytest.fixture(scope="module", autouse=True)
def _nothing_is_left(
    processes_with: Callable[[str], list[str]], until: Callable[..., None]
) -> Iterator[None]:
    mark = uuid.uuid4().hex
    with pytest.MonkeyPatch.context() as patch:
        for name, text in SETTINGS.items():
            patch.setenv(name, text)
        patch.setenv("LAUNCHERS_RAY_TEST", mark)
        yield
    until(lambda: not processes_with(mark))


@pytest.fixture(scope="module")
def address(_nothing_is_left: None) -> Iterator[str]:
    """One machine with two processors and, as it says, one GPU."""
    with local_cluster(1, 2) as (address, _):
        yield address


def test_cells_run_as_they_do_here_with_their_share(
    run: Callable[..., Any],
    diary: Any,
    address: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    diary.study = diary.study.relative_to(tmp_path)
    errors, begun = run(RayCluster(address, None, threads=1, gpus=0.5), "a", "fails", "killed", "b")
    assert {key: (error or "done")[:36] for key, error in errors.items()} == {
        "a": "done",
        "fails": "ValueError: no such lesion",
        "killed": "its process was killed by SIGKILL, a",
        "b": "done",
    }
    assert sorted(begun) == ["a", "b", "fails", "killed"]
    assert diary.times("begin") == {"a": 1, "b": 1, "fails": 1, "killed": 1}
    assert {tuple(seen) for _, *seen in diary.lines("sees")} == {("'1'", "'0'", str(tmp_path))}
    assert not list(diary.study.glob(".launch-*"))
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_a_real_cell_gives_the_scores_of_the_uninterrupted_study(
    whole: StudyFolder, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(SOURCE))
    folder, key = StudyFolder(tmp_path / "again"), read_lock(whole.lock).cells[0].key
    folder.path.mkdir()
    shutil.copy(whole.lock, folder.lock)
    (outcome,) = RayCluster(address, None, 1).launch(run_cell, folder.path, [key], lambda key: None)
    assert outcome == Outcome(key, None)
    for file in ("scores/recipe/cases.csv", "run/weights/model.safetensors"):
        assert (folder.cell(key).path / file).read_bytes() == (whole.cell(key).path / file).read_bytes()


def test_closing_ends_the_cells_that_run(
    toy: Any, diary: Any, address: str, until: Callable[..., None]
) -> None:
    outcomes = RayCluster(address, 2, threads=1).launch(
        toy, diary.study, ["a", "b-waits", "c-waits"], lambda key: None
    )
    assert next(outcomes).key == "a"
    until(lambda: len(diary.times("begin")) == 3)
    outcomes.close()
    pids = [pid for key, pid, _ in diary.lines("begin")]
    until(lambda: not any(Path("/proc", pid).exists() for pid in pids))
    (diary.study / "go").touch()
    assert diary.times("end") == {"a": 1}


def test_more_than_any_machine_has_is_refused(run: Callable[..., Any], address: str) -> None:
    with pytest.raises(UserError, match=r"no machine of the Ray cluster has .* \(CPU 3, GPU 1\); ask for"):
        run(RayCluster(address, None, threads=3, gpus=1), "a")


def test_no_cluster_at_the_address_is_told(run: Callable[..., Any]) -> None:
    with pytest.raises(UserError, match=r"no Ray cluster answers at '127.0.0.1:9' .*refused"):
        run(RayCluster("127.0.0.1:9", None, threads=1), "a")


def test_every_cell_finishes_once_though_a_machine_is_lost(
    run: Callable[..., Any], diary: Any, until: Callable[..., None]
) -> None:
    def lose_a_machine(lose_one: Callable[[], None]) -> None:
        until(lambda: len(diary.times("begin")) == 2)
        pids = [pid for _, pid, _ in diary.lines("begin")]
        lose_one()
        until(lambda: not all(Path("/proc", pid).exists() for pid in pids))
        (diary.study / "go").touch()

    with local_cluster(0, 1, 1) as (address, lose_one):
        Thread(target=lose_a_machine, args=(lose_one,), daemon=True).start()
        errors, begun = run(RayCluster(address, None, threads=1), "a-waits", "b-waits", "c", "d")
    assert errors == {"a-waits": None, "b-waits": None, "c": None, "d": None}
    assert sorted(begun) == sorted(errors)
    assert diary.times("end") == {"a-waits": 1, "b-waits": 1, "c": 1, "d": 1}
    assert sorted(diary.times("begin").values()) == [1, 1, 1, 2], "one was lost and began again"
