"""Real cells: the same study gives the same scores on each launcher. Ray's are in test_ray."""

import shutil
from pathlib import Path

import pytest

from mlffm_segdiff.config.study import LauncherConfig
from mlffm_segdiff.study.launchers import make_launcher
from mlffm_segdiff.study.plan import read_plan
from mlffm_segdiff.study.run_cell import run_cell
from mlffm_segdiff.study.study_folder import StudyFolder


@pytest.mark.parametrize(
    "config", [LauncherConfig(), LauncherConfig(name="local", workers=2)], ids=lambda config: config.name
)
def test_each_launcher_gives_the_scores_of_the_uninterrupted_study(
    config: LauncherConfig, whole: StudyFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3] / "src"))
    monkeypatch.chdir(tmp_path)
    folder = StudyFolder(Path("again"))
    folder.path.mkdir()
    shutil.copy(whole.plan, folder.plan)
    keys = [cell.key for cell in read_plan(whole.plan).cells][:2]
    outcomes = list(make_launcher(config, threads=1).launch(run_cell, folder.path, keys))
    assert {outcome.key: outcome.error for outcome in outcomes} == dict.fromkeys(keys)
    for key in keys:
        for file in ("scores/recipe/cases.csv", "run/weights/model.safetensors"):
            assert (folder.cell(key).path / file).read_bytes() == (whole.cell(key).path / file).read_bytes()
