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
from mlffm_segdiff.study.runner import run_study
from mlffm_segdiff.study.study_folder import StudyFolder
from mlffm_segdiff.study.transfer import ReusedCells, reuse_cells, share_study

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
    reused = reuse_cells(plan, folder, [whole]).trained
    assert reused == [cell.key for cell in plan.cells if cell.seed < 2]
    assert reuse_cells(plan, folder, [whole]) == ReusedCells()
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


def test_an_interrupted_training_gives_way_to_scores_of_a_shared_study(
    whole: StudyFolder, make_study: Callable[..., Study], plan_here: PlanHere, tmp_path: Path
) -> None:
    """If it were resumed, its cell would mix the scores of two trainings."""
    shared, folder = StudyFolder(tmp_path / "shared"), StudyFolder(tmp_path / "longer")
    share_study(whole, shared.path)
    plan = plan_here(make_study(), folder)
    place = folder.cell(plan.cells[0].key)
    place.run.config.parent.mkdir(parents=True)
    for file in (place.run.config, place.run.path / "checkpoints" / "last.ckpt"):
        file.parent.mkdir(exist_ok=True)
        file.write_text("of an interrupted training")
    reuse_cells(plan, folder, [shared])
    assert place.finished.is_file()
    assert [path.name for path in place.run.path.rglob("*") if path.is_file()] == ["metrics.csv"]


def test_a_shared_study_is_extended_without_its_weights(
    whole: StudyFolder,
    make_study: Callable[..., Study],
    plan_here: PlanHere,
    run_here: Callable[..., object],
    tmp_path: Path,
) -> None:
    shared, folder = StudyFolder(tmp_path / "shared"), StudyFolder(tmp_path / "longer")
    share_study(whole, shared.path)
    plan = plan_here(make_study(seeds=[0, 1, 2]), folder)
    kept = [cell.key for cell in plan.cells if cell.seed < 2]
    assert reuse_cells(plan, folder, [shared]) == ReusedCells(finished=kept)
    failures, _ = run_here(plan, folder)
    assert failures == {}
    assert {cell.key for cell in plan.cells if folder.cell(cell.key).log.exists()} == {
        cell.key for cell in plan.cells if cell.seed == 2
    }
    for key in kept:
        for file in shared.cell(key).path.rglob("*.*"):
            assert (folder.path / file.relative_to(shared.path)).read_text() == file.read_text()
    assert set(read_results(folder.path).scores["seed"]) == {0, 1, 2}


def test_scores_without_weights_do_not_outlast_a_new_training(
    whole: StudyFolder,
    make_study: Callable[..., Study],
    plan_here: PlanHere,
    run_here: Callable[..., object],
    tmp_path: Path,
) -> None:
    """A new evaluation needs weights, and all scores of a cell have to be of the same ones."""
    shared = StudyFolder(tmp_path / "shared")
    share_study(whole, shared.path)
    plan = plan_here(make_study(evaluations={"steps_1": ["sampling.steps=1"], "recipe": []}), shared)
    cell = shared.cell(plan.cells[0].key)
    cases = cell.scores("recipe") / "cases.csv"
    original = cases.read_bytes()
    cases.write_bytes(b"of other weights\n")
    failures, _ = run_here(plan, shared)
    assert failures == {}
    assert cases.read_bytes() == original


@pytest.mark.parametrize(
    "changed", [{"part": "val"}, {"evaluations": {"recipe": ["sampling.steps=1"]}}], ids=["part", "sampling"]
)
def test_scores_of_other_settings_are_not_copied(
    changed: dict[str, object],
    whole: StudyFolder,
    make_study: Callable[..., Study],
    plan_here: PlanHere,
    tmp_path: Path,
) -> None:
    shared, folder = StudyFolder(tmp_path / "shared"), StudyFolder(tmp_path / "again")
    share_study(whole, shared.path)
    plan = plan_here(make_study(**changed), folder)
    assert reuse_cells(plan, folder, [shared]) == ReusedCells()
    assert reuse_cells(plan, folder, [shared, whole]).trained == [cell.key for cell in plan.cells]


def test_an_unfinished_copy_is_made_again(
    whole: StudyFolder, make_study: Callable[..., Study], plan_here: PlanHere, tmp_path: Path
) -> None:
    folder = StudyFolder(tmp_path / "again")
    plan = plan_here(make_study(), folder)
    (broken := folder.cell(plan.cells[0].key).run.path).mkdir(parents=True)
    (broken / "rest").touch()
    assert len(reuse_cells(plan, folder, [whole]).finished) == len(plan.cells)
    assert not (broken / "rest").exists()


def test_a_cell_that_a_job_still_trains_keeps_its_run(
    whole: StudyFolder, make_study: Callable[..., Study], plan_here: PlanHere, tmp_path: Path
) -> None:
    """As a cluster's job does after the command that submitted it was killed."""
    folder = StudyFolder(tmp_path / "again")
    first, *others = plan_here(make_study(), folder).cells
    (running := folder.cell(first.key)).run.path.mkdir(parents=True)
    with FileLock(running.guard):
        copied = reuse_cells(read_plan(folder.plan), folder, [whole])
    assert copied.finished == [cell.key for cell in others]
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
    assert plan.cells[0].key in reuse_cells(plan, folder, [other]).finished
    assert not folder.cell(plan.cells[0].key).run.checkpoints.exists()


def test_a_folder_without_a_study_is_refused_before_anything_is_copied(
    whole: StudyFolder, make_study: Callable[..., Study], plan_here: PlanHere, tmp_path: Path
) -> None:
    folder = StudyFolder(tmp_path / "again")
    plan = plan_here(make_study(), folder)
    with pytest.raises(UserError, match="is not a study folder"):
        reuse_cells(plan, folder, [whole, StudyFolder(tmp_path / "nothing")])
    assert not (folder.path / "cells").exists()


def test_a_study_is_not_begun_before_those_that_it_reuses_are_found(
    make_study: Callable[..., Study], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="is not a study folder"):
        run_study(make_study(), tmp_path / "new", reuse=[tmp_path / "nothing"])
    assert not (tmp_path / "new").exists()


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


def test_two_folders_of_a_shared_study_stay_two(whole: StudyFolder, tmp_path: Path) -> None:
    plan = json.loads(whole.plan.read_text())
    for cell, folder in zip(plan["cells"], ("a", "b", "a", "b"), strict=True):
        cell["recipe"]["data"]["sources"] = {"folder": f"/secret/{folder}"}
    study = StudyFolder(Path(shutil.copytree(whole.path, tmp_path / "study")))
    study.plan.write_text(json.dumps(plan))
    share_study(study, tmp_path / "shared")
    cells = read_plan(tmp_path / "shared/plan.json").cells
    assert [str(cell.recipe.data.sources["folder"]) for cell in cells] == ["folder_0", "folder_1"] * 2


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
