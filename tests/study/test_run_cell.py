import json
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from mlffm_segdiff.cli.app import run
from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.study import Study
from mlffm_segdiff.data.sources import load_split_cases
from mlffm_segdiff.data.synthetic import write_folder
from mlffm_segdiff.study import run_cell as module
from mlffm_segdiff.study.code_version import code_digest
from mlffm_segdiff.study.plan import read_plan, write_plan
from mlffm_segdiff.study.run_cell import is_scored, run_cell
from mlffm_segdiff.study.runner import make_plan, save_plan
from mlffm_segdiff.study.study_folder import CellFolder, StudyFolder


def first_cell(folder: StudyFolder) -> CellFolder:
    return folder.cell(read_plan(folder.plan).cells[0].key)


@pytest.fixture
def planned(whole: StudyFolder, tmp_path: Path) -> StudyFolder:
    """The plan of `whole`, with nothing run."""
    folder = StudyFolder(tmp_path / "planned")
    folder.path.mkdir()
    shutil.copy(whole.plan, folder.plan)
    return folder


def test_a_finished_cell_has_its_run_its_scores_and_an_account(whole: StudyFolder) -> None:
    place = first_cell(whole)
    files = {str(path.relative_to(place.path)) for path in place.path.rglob("*") if path.is_file()}
    assert {"run/config.yaml", "run/logs/metrics.csv", "run/weights/model.safetensors", "log.txt"} <= files
    assert {"scores/recipe/cases.csv", "scores/recipe/summary.json", "finished.json"} <= files
    assert not {"failed.txt", "run/checkpoints/last.ckpt", "run/checkpoints/best.ckpt"} & files
    account = json.loads(place.finished.read_text())
    assert (account["images"], account["resumed"], account["threads"]) == (16, False, 1)
    assert account["seconds"] == account["training_seconds"] + account["evaluation_seconds"] > 0
    assert "validation Jaccard" in place.log.read_text()


def test_scores_are_those_of_the_verb_evaluate(whole: StudyFolder, tmp_path: Path) -> None:
    place = first_cell(whole)
    assert run(["evaluate", str(place.run.path), "-o", str(tmp_path), "--threads", "1"]) == 0
    assert (tmp_path / "cases.csv").read_bytes() == (place.scores("recipe") / "cases.csv").read_bytes()


def test_a_finished_cell_is_not_run_again(copied: StudyFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    place = first_cell(copied)
    before = {path: path.stat().st_mtime_ns for path in place.path.rglob("*") if path != place.guard}
    run_cell(copied.path, place.path.name)
    assert {path: path.stat().st_mtime_ns for path in place.path.rglob("*") if path != place.guard} == before


def test_a_cell_that_lacks_only_an_evaluation_is_not_trained_again(
    copied: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, place = read_plan(copied.plan), first_cell(copied)
    weights = (place.run.weights / "model.safetensors").stat().st_mtime_ns
    scored = (place.scores("recipe") / "cases.csv").stat().st_mtime_ns
    place.finished.unlink()
    write_plan(
        replace(plan, evaluations={**plan.evaluations, "samples_2": ["sampling.samples=2"]}), copied.plan
    )
    run_cell(copied.path, place.path.name)
    summary = json.loads((place.scores("samples_2") / "summary.json").read_text())
    assert (summary["sampling"]["samples"], summary["part"]) == (2, "test")
    assert (place.run.weights / "model.safetensors").stat().st_mtime_ns == weights
    assert (place.scores("recipe") / "cases.csv").stat().st_mtime_ns == scored


def test_scores_of_another_part_under_the_same_name_are_made_again(copied: StudyFolder) -> None:
    plan, place = read_plan(copied.plan), first_cell(copied)
    place.finished.unlink()
    write_plan(replace(plan, part="val"), copied.plan)
    run_cell(copied.path, place.path.name)
    assert json.loads((place.scores("recipe") / "summary.json").read_text())["part"] == "val"
    assert len((place.scores("recipe") / "cases.csv").read_text().splitlines()) == 3  # two cases validate


def test_scores_of_which_a_kill_left_only_the_summary_are_made_again(copied: StudyFolder) -> None:
    place = first_cell(copied)
    place.finished.unlink()
    cases = place.scores("recipe") / "cases.csv"
    before = cases.read_bytes()
    cases.unlink()
    run_cell(copied.path, place.path.name)
    assert cases.read_bytes() == before


@pytest.mark.parametrize("content", ["[]", "null", '{"sampling": null}', '{"sampling": []}', "{"])
def test_scores_with_a_damaged_summary_are_made_again(copied: StudyFolder, content: str) -> None:
    plan, place = read_plan(copied.plan), first_cell(copied)
    (place.scores("recipe") / "summary.json").write_text(content)
    assert not is_scored(plan.cell(place.path.name), plan, place)


def test_scores_that_cannot_be_replaced_are_an_error(
    copied: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a table is open in a program on Windows."""
    plan, place = read_plan(copied.plan), first_cell(copied)
    place.finished.unlink()
    write_plan(replace(plan, part="val"), copied.plan)
    remove = shutil.rmtree

    def locked(path: Path, ignore_errors: bool = False, **more: Any) -> None:
        if Path(path) != place.scores("recipe"):
            remove(path, ignore_errors, **more)
        elif not ignore_errors:
            raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(shutil, "rmtree", locked)
    with pytest.raises((UserError, OSError), match="Permission denied"):
        run_cell(copied.path, place.path.name)
    assert not place.finished.exists()


def test_a_cell_that_another_process_runs_is_waited_for_and_not_run_again(copied: StudyFolder) -> None:
    place = first_cell(copied)
    place.finished.unlink()
    with FileLock(place.guard):
        thread = threading.Thread(target=run_cell, args=(copied.path, place.path.name))
        thread.start()
        thread.join(0.2)
        assert thread.is_alive()
        place.finished.write_text("{}")
    thread.join()
    assert place.finished.read_text() == "{}"


def test_a_finished_cell_that_lacks_an_evaluation_planned_meanwhile_is_scored(copied: StudyFolder) -> None:
    plan, place = read_plan(copied.plan), first_cell(copied)
    write_plan(replace(plan, evaluations={**plan.evaluations, "one": ["sampling.steps=1"]}), copied.plan)
    run_cell(copied.path, place.path.name)
    assert (place.scores("one") / "cases.csv").is_file()


def test_a_failure_is_written_and_gone_after_the_next_try(
    planned: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = first_cell(planned)

    def fail(*_: object) -> None:
        raise ZeroDivisionError("of no use")

    with monkeypatch.context() as patch:
        patch.setattr(module, "evaluate_model", fail)
        with pytest.raises(ZeroDivisionError):
            run_cell(planned.path, place.path.name)
    assert "ZeroDivisionError: of no use" in place.failed.read_text()
    assert not place.finished.exists()
    run_cell(planned.path, place.path.name)
    assert place.finished.is_file()
    assert not place.failed.exists()


def test_an_interrupt_is_not_a_failure(planned: StudyFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "train", stop)
    with pytest.raises(KeyboardInterrupt):
        run_cell(planned.path, first_cell(planned).path.name)
    assert not first_cell(planned).failed.exists()


def test_a_run_killed_at_its_start_is_started_again(planned: StudyFolder, whole: StudyFolder) -> None:
    place = first_cell(planned)
    place.run.path.mkdir(parents=True)
    place.run.environment.write_text("{}")
    run_cell(planned.path, place.path.name)
    files = [one.run.weights / "model.safetensors" for one in (place, first_cell(whole))]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_data_that_moved_are_found_where_they_are_now(
    make_study: Callable[..., Study], tmp_path: Path
) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    write_folder(old, 8, 48, seed=3)
    study, folder = make_study(datasets={"folder": {}}, seeds=[0]), StudyFolder(tmp_path / "study")
    before = make_plan(study, folder, {"folder": old})
    save_plan(before, study, folder)
    first_cell(folder).run.create(before.cells[0].recipe, load_split_cases(before.cells[0].recipe.data))
    old.rename(new)
    after = make_plan(study, folder, {"folder": new})
    assert after.cells[0].key == before.cells[0].key
    save_plan(after, study, folder)
    run_cell(folder.path, before.cells[0].key)
    assert first_cell(folder).run.recipe().data.sources == {"folder": new}


def test_another_split_is_refused(planned: StudyFolder) -> None:
    plan, key = read_plan(planned.plan), first_cell(planned).path.name
    write_plan(replace(plan, cells=[replace(cell, split="other") for cell in plan.cells]), planned.plan)
    with pytest.raises(UserError, match="not other as planned"):
        run_cell(planned.path, key)
    assert not first_cell(planned).run.path.exists()


def test_the_account_names_the_code_and_the_seconds_of_the_training_and_of_each_evaluation(
    copied: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, place = read_plan(copied.plan), first_cell(copied)
    before = place.account()
    first = before["evaluations"]["recipe"]
    assert before["training_code"] == first["code"] == code_digest()
    place.finished.unlink()
    environment = json.loads(place.run.environment.read_text())
    place.run.environment.write_text(json.dumps({**environment, "git": "older"}))
    write_plan(replace(plan, evaluations={**plan.evaluations, "one": ["sampling.steps=1"]}), copied.plan)
    monkeypatch.setattr(module, "code_of", lambda recipe: "newer")
    run_cell(copied.path, place.path.name)
    after = place.account()
    assert (after["training_code"], after["git"]) == (code_digest(), "older")
    assert after["evaluations"]["recipe"] == first
    assert after["evaluations"]["one"]["code"] == "newer"
    assert after["evaluation_seconds"] == first["seconds"] + after["evaluations"]["one"]["seconds"]
    assert after["seconds"] == before["training_seconds"] + after["evaluation_seconds"]


def test_scores_of_an_earlier_version_have_unknown_code(copied: StudyFolder) -> None:
    place = first_cell(copied)
    place.finished.unlink()
    place.scored("recipe").unlink()
    run_cell(copied.path, place.path.name)
    assert place.account()["evaluations"] == {"recipe": {"seconds": 0.0, "code": "unknown"}}


def test_a_cell_planned_again_meanwhile_runs_as_planned_last(
    planned: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when its data moved: the key is the same, the recipe is not."""
    plan, place, seen = read_plan(planned.plan), first_cell(planned), []
    recipe = plan.cells[0].recipe
    moved = recipe.data.model_copy(update={"sources": {"synthetic": Path("new")}})
    cells = [replace(plan.cells[0], recipe=recipe.model_copy(update={"data": moved})), *plan.cells[1:]]
    monkeypatch.setattr(module, "_train_and_score", lambda cell, *_: seen.append(cell.recipe.data.sources))
    place.path.mkdir(parents=True)
    with FileLock(place.guard):
        thread = threading.Thread(target=run_cell, args=(planned.path, place.path.name))
        thread.start()
        thread.join(0.5)
        assert thread.is_alive()
        write_plan(replace(plan, cells=cells), planned.plan)
    thread.join()
    assert seen == [{"synthetic": Path("new")}]


def test_a_cell_is_marked_only_while_it_runs(planned: StudyFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    place, seen = first_cell(planned), []
    monkeypatch.setattr(
        module, "_train_and_score", lambda *_: seen.append(json.loads(place.running.read_text()))
    )
    run_cell(planned.path, place.path.name)
    assert set(seen[0]) == {"host", "since"}
    assert not place.running.exists()


def test_a_requeued_job_is_not_an_interrupt(planned: StudyFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def requeue(*_: object, **__: object) -> None:
        raise SystemExit(144)  # as submitit does

    monkeypatch.setattr(module, "train", requeue)
    with pytest.raises(SystemExit):
        run_cell(planned.path, first_cell(planned).path.name)


def test_a_cell_is_trained_on_the_device_of_the_plan(
    planned: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    devices = []

    def train(*_: object, device: str, **__: object) -> None:
        devices.append(device)
        raise UserError("stop here")

    monkeypatch.setattr(module, "train", train)
    write_plan(replace(read_plan(planned.plan), device="cuda:1"), planned.plan)
    with pytest.raises(UserError, match="stop here"):
        run_cell(planned.path, first_cell(planned).path.name)
    assert devices == ["cuda:1"]
