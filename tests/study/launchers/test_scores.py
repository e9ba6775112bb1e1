"""Real cells: the same study gives the same scores on each engine. Ray's are in test_ray_cluster."""

import shutil
from pathlib import Path

import pytest

from mlffm_segdiff.study.folder import StudyFolder
from mlffm_segdiff.study.launchers.base import Launcher
from mlffm_segdiff.study.launchers.in_process import InProcess
from mlffm_segdiff.study.launchers.processes import Processes
from mlffm_segdiff.study.launchers.slurm import Slurm
from mlffm_segdiff.study.lock import read_lock
from mlffm_segdiff.study.run_cell import run_cell


@pytest.mark.parametrize(
    "launcher",
    [
        pytest.param(InProcess(threads=1), id="in-process"),
        pytest.param(Processes(2, threads=1), id="processes"),
        pytest.param(Slurm(2, threads=1, cluster="local"), id="slurm", marks=pytest.mark.slow),
    ],
)
def test_each_engine_gives_the_scores_of_the_uninterrupted_study(
    launcher: Launcher, whole: StudyFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3] / "src"))
    monkeypatch.chdir(tmp_path)
    folder = StudyFolder(Path("again"))
    folder.path.mkdir()
    shutil.copy(whole.lock, folder.lock)
    keys = [cell.key for cell in read_lock(whole.lock).cells][:2]
    outcomes = list(launcher.launch(run_cell, folder.path, keys, lambda key: None))
    assert {outcome.key: outcome.error for outcome in outcomes} == dict.fromkeys(keys)
    for key in keys:
        for file in ("scores/recipe/cases.csv", "run/weights/model.safetensors"):
            assert (folder.cell(key).path / file).read_bytes() == (whole.cell(key).path / file).read_bytes()
