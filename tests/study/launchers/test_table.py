from importlib import import_module
from typing import Any

import pytest

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.study.launchers.in_process import InProcess
from mlffm_segdiff.study.launchers.processes import Processes
from mlffm_segdiff.study.launchers.ray_cluster import RayCluster
from mlffm_segdiff.study.launchers.slurm import Slurm
from mlffm_segdiff.study.launchers.table import make_launcher


def test_each_name_gives_its_engine_with_what_was_asked() -> None:
    here = make_launcher("in-process", 1, 3)
    assert isinstance(here, InProcess)
    assert here.threads == 3
    processes = make_launcher("processes", 4, 2)
    assert isinstance(processes, Processes)
    assert (processes.workers, processes.threads) == (4, 2)
    ray = make_launcher("ray", None, 2, "10.0.0.1:6379", gpus=0.5, memory_gb=4)
    assert ray == RayCluster("10.0.0.1:6379", None, 2, 0.5, 4)
    slurm = make_launcher("slurm", 8, 2, gpus=1, memory_gb=4, partition="gpu", minutes=30)
    assert isinstance(slurm, Slurm)
    assert slurm.parameters == {
        "name": "mlffm-segdiff",
        "cpus_per_task": 2,
        "gpus_per_node": 1,
        "mem_gb": 4,
        "timeout_min": 30,
        "slurm_partition": "gpu",
        "slurm_array_parallelism": 8,
    }


def test_as_many_processes_run_as_the_machine_has_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    table = import_module("mlffm_segdiff.study.launchers.table")
    monkeypatch.setattr(table, "processors", lambda: 8)
    counts = [vars(make_launcher("processes", None, threads))["workers"] for threads in (1, 3, 16)]
    assert counts == [8, 2, 1]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("ray", {"partition": "gpu"}, "--partition and --minutes: the launcher ray does not know"),
        ("processes", {"minutes": 3}, "--partition and --minutes: the launcher processes does not"),
        ("processes", {"memory_gb": 3}, "--memory: .*; slurm and ray do"),
        ("in-process", {"gpus": 1}, "--gpus: .*; processes and slurm and ray do"),
        ("slurm", {"gpus": 0.5}, "--gpus 0.5: Slurm gives whole GPUs"),
        ("ray", {"gpus": 1.5}, "--gpus 1.5: above 1, take whole GPUs"),
    ],
)
def test_what_an_engine_does_not_know_is_refused(name: Any, options: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        make_launcher(name, 1, 1, **options)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(import_module("sys").modules, "mlffm_segdiff.study.launchers.slurm", None)
    with pytest.raises(UserError, match=r"pip install -c constraints.txt '.\[cluster\]'"):
        make_launcher("slurm", 1, 1)
