import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.study import Study
from mlffm_segdiff.study.plan import StudyPlan, read_plan
from mlffm_segdiff.study.report import read_results, write_report
from mlffm_segdiff.study.study_folder import StudyFolder
from mlffm_segdiff.study.transfer import reuse_trained, share_study

PlanHere = Callable[[Study, StudyFolder], StudyPlan]


def test_trained_cells_are_scored_elsewhere_without_training(
    whole: StudyFolder,
    make_study: Callable[..., Study],
    plan_here: PlanHere,
    run_here: Callable[..., object],
    tmp_path: Path,
) -> None:
    folder = StudyFolder(tmp_path / "steps")
    evaluations = {"steps_1": ["sampling.steps=1"], "recipe": []}
    plan = plan_here(make_study(name="steps", seeds=[0, 1, 2], evaluations=evaluations), folder)
    reused = reuse_trained(plan, folder, [whole])
    assert reused == [cell.key for cell in plan.cells if cell.seed < 2]
    assert reuse_trained(plan, folder, [whole]) == []
    weights = "run/weights/model.safetensors"
    for key in reused:
        assert (folder.cell(key).path / weights).read_bytes() == (whole.cell(key).path / weights).read_bytes()
    failures, _ = run_here(plan, folder)
    assert failures == {}
    for key in reused:
        assert not folder.cell(key).log.exists()
        scores = [one.cell(key).scores("recipe") / "cases.csv" for one in (folder, whole)]
        assert scores[0].read_bytes() == scores[1].read_bytes()
        assert (folder.cell(key).scores("steps_1") / "cases.csv").is_file()


def test_an_unfinished_copy_is_made_again(
    whole: StudyFolder, make_study: Callable[..., Study], plan_here: PlanHere, tmp_path: Path
) -> None:
    folder = StudyFolder(tmp_path / "again")
    plan = plan_here(make_study(), folder)
    (broken := folder.cell(plan.cells[0].key).run.path).mkdir(parents=True)
    (broken / "rest").touch()
    assert len(reuse_trained(plan, folder, [whole])) == len(plan.cells)
    assert not (broken / "rest").exists()


def test_a_cell_that_a_job_still_trains_keeps_its_run(
    whole: StudyFolder, make_study: Callable[..., Study], plan_here: PlanHere, tmp_path: Path
) -> None:
    """As a cluster's job does after the command that submitted it was killed."""
    folder = StudyFolder(tmp_path / "again")
    first, *others = plan_here(make_study(), folder).cells
    (running := folder.cell(first.key)).run.path.mkdir(parents=True)
    with FileLock(running.guard):
        copied = reuse_trained(read_plan(folder.plan), folder, [whole])
    assert copied == [cell.key for cell in others]
    assert list(running.run.path.iterdir()) == []
    assert not running.trained.exists()


def test_checkpoints_are_not_copied(
    whole: StudyFolder, make_study: Callable[..., Study], plan_here: PlanHere, tmp_path: Path
) -> None:
    """A study that was killed between training and scoring still has them."""
    other, folder = StudyFolder(tmp_path / "other"), StudyFolder(tmp_path / "again")
    shutil.copytree(whole.path, other.path)
    plan = plan_here(make_study(), folder)
    left = other.cell(plan.cells[0].key).run.checkpoints
    left.mkdir()
    (left / "last.ckpt").touch()
    assert plan.cells[0].key in reuse_trained(plan, folder, [other])
    assert not folder.cell(plan.cells[0].key).run.checkpoints.exists()


def test_a_folder_without_a_study_is_refused_before_anything_is_copied(
    whole: StudyFolder, make_study: Callable[..., Study], plan_here: PlanHere, tmp_path: Path
) -> None:
    folder = StudyFolder(tmp_path / "again")
    plan = plan_here(make_study(), folder)
    with pytest.raises(UserError, match="no study at"):
        reuse_trained(plan, folder, [whole, StudyFolder(tmp_path / "nothing")])
    assert not (folder.path / "cells").exists()


def test_a_shared_study_gives_the_same_tables(whole: StudyFolder, tmp_path: Path) -> None:
    files = share_study(whole, tmp_path / "shared")
    assert sorted(files) == sorted(path for path in (tmp_path / "shared").rglob("*") if path.is_file())
    assert {path.name for path in files} == {
        *("plan.json", "finished.json", "metrics.csv", "cases.csv", "summary.json")
    }
    shutil.copytree(whole.path, tmp_path / "original")
    shared, original = (
        {path.name: path.read_bytes() for path in (write_report(tmp_path / name) / "tables").iterdir()}
        for name in ("shared", "original")
    )
    of_weights = {name for name in original if name.startswith("fusion")}
    assert of_weights
    assert shared == {name: table for name, table in original.items() if name not in of_weights}
    assert read_results(tmp_path / "shared").scores.equals(read_results(whole.path).scores)


def test_a_shared_study_names_no_folder_of_the_data(
    make_study: Callable[..., Study], tmp_path: Path, whole: StudyFolder
) -> None:
    plan = json.loads(whole.plan.read_text())
    for cell in plan["cells"]:
        cell["recipe"]["data"] |= {"sources": {"ph2": "/secret/ph2"}, "split": "/secret/split.csv"}
    study = StudyFolder(tmp_path / "study")
    shutil.copytree(whole.path, study.path)
    study.plan.write_text(json.dumps(plan))
    study.study.write_text("overrides: [data.split=/secret/split.csv]\n")
    finished = study.cell(plan["cells"][0]["key"]).finished
    command = {"command": "mlffm-segdiff study run small --source ph2=/secret/ph2"}
    finished.write_text(json.dumps({**json.loads(finished.read_text()), **command}))
    files = share_study(study, tmp_path / "shared")
    assert not [file for file in files if "/secret" in file.read_text()]
    (data, *_) = [cell.recipe.data for cell in read_plan(tmp_path / "shared/plan.json").cells]
    assert data.sources == {"ph2": None}
    assert data.split == Path("split.csv")


@pytest.mark.parametrize("name", ["cases.csv", "summary.json"])
def test_a_finished_cell_that_lacks_scores_is_named(name: str, whole: StudyFolder, tmp_path: Path) -> None:
    study = StudyFolder(Path(shutil.copytree(whole.path, tmp_path / "study")))
    key = read_plan(study.plan).cells[1].key
    (study.cell(key).scores("recipe") / name).unlink()
    message = rf"{key}.scores.recipe.{name} is missing, though its cell is finished; .* run the study again"
    with pytest.raises(UserError, match=message):
        share_study(study, tmp_path / "shared")
    with pytest.raises(UserError, match=message):
        read_results(study.path)
    assert not (tmp_path / "shared").exists()


def test_a_study_without_learning_curves_is_shared(whole: StudyFolder, tmp_path: Path) -> None:
    study = StudyFolder(Path(shutil.copytree(whole.path, tmp_path / "study")))
    study.cell(read_plan(study.plan).cells[0].key).run.metrics.unlink()
    names = [path.name for path in share_study(study, tmp_path / "shared")]
    assert (names.count("metrics.csv"), names.count("cases.csv")) == (3, 4)


def test_nothing_is_overwritten(whole: StudyFolder, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="exists; choose another folder"):
        share_study(whole, tmp_path)
