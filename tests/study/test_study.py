import json
import shutil
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.study import Study, load_study
from mlffm_segdiff.study import folder as folder_module
from mlffm_segdiff.study import run_cell as run_cell_module
from mlffm_segdiff.study import study as module
from mlffm_segdiff.study.cells import Cell
from mlffm_segdiff.study.folder import StudyFolder
from mlffm_segdiff.study.launchers.base import Outcome, Work
from mlffm_segdiff.study.lock import StudyLock, package_versions, read_lock, write_lock
from mlffm_segdiff.study.run_cell import run_cell
from mlffm_segdiff.study.study import (
    changed_packages,
    open_tally,
    plan_one_again,
    plan_study,
    run_study,
)
from mlffm_segdiff.study.tally import Tally

MakeStudy = Callable[..., Study]
RunHere = Callable[[StudyLock, StudyFolder], tuple[dict[str, str], Tally]]


class Recorded:
    """A launcher that runs nothing and gives the outcomes it is told to."""

    def __init__(self, errors: dict[str, str | None]) -> None:
        self.errors = errors
        self.asked: list[str] = []

    def launch(
        self, work: Work, study: Path, keys: Sequence[str], started: Callable[[str], None]
    ) -> Generator[Outcome, None, None]:
        self.asked = list(keys)
        for key in keys:
            started(key)
            yield Outcome(key, self.errors.get(key))


@pytest.fixture
def copied(whole: StudyFolder, tmp_path: Path) -> StudyFolder:
    return StudyFolder(Path(shutil.copytree(whole.path, tmp_path / "copied")))


def plan(study: Study, folder: StudyFolder, **given: Any) -> StudyLock:
    return plan_study(study, "ablation", folder, {}, **{"threads": 1, **given})


def test_the_folder_says_what_was_asked_and_planned(whole: StudyFolder, make_study: MakeStudy) -> None:
    assert load_study(str(whole.study)) == make_study()
    assert {path.name for path in (whole.path / "cells").iterdir()} == {
        cell.key for cell in read_lock(whole.lock).cells
    }


def test_finished_cells_are_never_run_again(copied: StudyFolder, make_study: MakeStudy) -> None:
    before = copied.lock.read_bytes()
    lock, nobody = plan(make_study(), copied), Recorded({})
    tally = open_tally(lock, copied)
    assert run_study(lock, copied, nobody, tally, lambda cell, error: None) == {}
    assert nobody.asked == []
    assert tally.count("done") == 4
    assert copied.lock.read_bytes() == before


def test_a_larger_study_runs_what_is_new(copied: StudyFolder, make_study: MakeStudy) -> None:
    lock, launcher = plan(make_study(seeds=[1, 2]), copied), Recorded({})
    run_study(lock, copied, launcher, open_tally(lock, copied), lambda cell, error: None)
    assert launcher.asked == [cell.key for cell in lock.cells if cell.seed == 2]


def test_a_new_evaluation_opens_finished_cells_again(
    copied: StudyFolder, make_study: MakeStudy, run_here: RunHere, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = make_study(evaluations={"recipe": [], "steps_1": ["sampling.steps=1"]})
    lock = plan(study, copied)
    monkeypatch.delattr(run_cell_module, "train")
    failures, tally = run_here(lock, copied)
    assert (failures, tally.count("done")) == ({}, 4)
    assert len(list(copied.path.glob("cells/*/scores/steps_1/cases.csv"))) == 4


def test_a_failed_cell_is_told_the_others_go_on_and_the_next_call_tries_it_last(
    make_study: MakeStudy, run_here: RunHere, tmp_path: Path
) -> None:
    folder = StudyFolder(tmp_path / "study")
    broken = {"recipe": "synthetic", "overrides": ["train.init=/no/such/weights"]}
    study = make_study(variants={"broken": broken, "full": {"recipe": "synthetic"}}, seeds=[0])
    lock = plan(study, folder)
    bad, good = (cell.key for cell in lock.cells)
    failures, tally = run_here(lock, folder)
    assert set(failures) == {bad}
    assert "/no/such/weights" in failures[bad]
    assert tally.states == {bad: "failed", good: "done"}
    assert "/no/such/weights" in folder.cell(bad).failed.read_text()

    folder.cell(good).finished.unlink()
    launcher = Recorded({})
    failures = run_study(lock, folder, launcher, open_tally(lock, folder), lambda cell, error: None)
    assert launcher.asked == [good, bad]
    assert set(failures.values()) == {"it ended without finished.json"}


def test_finished_json_decides_whatever_the_engine_says(copied: StudyFolder) -> None:
    lock = read_lock(copied.lock)
    tally, told = Tally(lock.cells, dict.fromkeys((cell.key for cell in lock.cells), "waiting")), []
    failures = run_study(
        lock,
        copied,
        Recorded({lock.cells[0].key: "the node is lost"}),
        tally,
        lambda cell, error: told.append((tally.states[cell.key], error)),
    )
    assert failures == {}
    assert told == [("running", None), ("done", None)] * 4


def test_a_wrong_study_writes_nothing(make_study: MakeStudy, tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path / "study")
    with pytest.raises(UserError, match="'full'"):
        plan(make_study(variants={"full": {"recipe": "synthetic", "overrides": ["data.size=33"]}}), folder)
    assert not folder.path.exists()


def test_a_folder_of_something_else_is_refused(
    copied: StudyFolder, make_study: MakeStudy, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("")
    with pytest.raises(UserError, match="holds no study"):
        plan(make_study(), StudyFolder(tmp_path / "mine"))
    with pytest.raises(UserError, match="holds the study 'small'"):
        plan(make_study(name="other"), copied)
    with pytest.raises(UserError, match="--threads 1"):
        plan(make_study(), copied, threads=2)


def test_a_plan_that_was_killed_half_written_is_made_again(
    copied: StudyFolder, make_study: MakeStudy, tmp_path: Path
) -> None:
    copied.study.unlink()
    assert open_tally(plan(make_study(), copied), copied).count("done") == 4
    assert copied.study.is_file()
    begun = StudyFolder(tmp_path / "begun")
    (begun.path / ".part-1").mkdir(parents=True)  # see data/atomic.py
    assert plan(make_study(), begun).cells


def test_cells_that_other_code_finished_are_kept_on_request_alone(
    copied: StudyFolder, make_study: MakeStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = read_lock(copied.lock)
    missing = before.cells[-1]
    shutil.rmtree(copied.cell(missing.key).path)
    monkeypatch.setattr(module, "code_version", lambda: "newer")
    with pytest.raises(
        UserError, match=rf"3 trained cells .* other code \({before.code}, now newer\); --accept-code"
    ):
        plan(make_study(), copied)
    assert read_lock(copied.lock) == before

    lock = plan(make_study(), copied, accept_code=True)
    assert [(cell.key, cell.code) for cell in lock.cells[:-1]] == [
        (c.key, before.code) for c in before.cells[:-1]
    ]
    assert lock.cells[-1].code == "newer"
    assert lock.cells[-1].key != missing.key
    assert open_tally(lock, copied).count("done") == 3


def test_accepted_trainings_are_kept_until_their_new_scores_are_there(
    copied: StudyFolder, make_study: MakeStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [cell.key for cell in read_lock(copied.lock).cells]
    monkeypatch.setattr(module, "code_version", lambda: "newer")
    study = make_study(evaluations={"recipe": [], "steps_1": ["sampling.steps=1"]})
    for _ in range(2):  # the second call is after a kill, say
        lock = plan(study, copied, accept_code=True)
        assert [cell.key for cell in lock.cells] == keys
        assert open_tally(lock, copied).count("waiting") == 4


def test_a_variant_under_another_name_is_the_same_training(
    copied: StudyFolder, make_study: MakeStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *others = make_study().variants.items()
    renamed = {"renamed": first[1], **dict(others)}
    study = make_study().model_copy(update={"variants": renamed, "baseline": "renamed"})
    assert open_tally(plan(study, copied), copied).count("done") == 4
    monkeypatch.setattr(module, "code_version", lambda: "newer")
    with pytest.raises(UserError, match="4 trained cells"):
        plan(make_study(), copied)


def test_one_command_at_a_time(
    copied: StudyFolder, make_study: MakeStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_module, "ORPHANS_SECONDS", 0)
    before = copied.lock.read_bytes()
    with copied.claimed(), pytest.raises(UserError, match=r"another command works on .*; wait for it"):
        plan(make_study(seeds=[0, 1, 2]), copied)
    assert copied.lock.read_bytes() == before
    copied.cell(read_lock(copied.lock).cells[0].key).finished.unlink()
    lock = plan(make_study(), copied)
    with copied.claimed(), pytest.raises(UserError, match="another command"):
        run_study(lock, copied, Recorded({}), open_tally(lock, copied), lambda cell, error: None)


def test_a_lost_plan_is_made_again_and_a_damaged_account_named(
    copied: StudyFolder, make_study: MakeStudy
) -> None:
    copied.lock.unlink()
    lock = plan(make_study(), copied)
    assert open_tally(lock, copied).count("done") == 4
    copied.cell(lock.cells[0].key).finished.write_text("")
    with pytest.raises(UserError, match=r"finished\.json cannot be read .* delete it"):
        open_tally(lock, copied)


def test_other_settings_are_trained_anew_without_a_word_about_code(
    copied: StudyFolder, make_study: MakeStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "code_version", lambda: "newer")
    study = make_study()
    lock = plan(study.model_copy(update={"overrides": (*study.overrides, "train.images=12")}), copied)
    assert open_tally(lock, copied).count("waiting") == 4


def test_other_packages_are_named(whole: StudyFolder) -> None:
    lock = read_lock(whole.lock)
    assert changed_packages(None) == changed_packages(lock) == []
    older = replace(lock, packages={**lock.packages, "torch": "1.0"})
    assert changed_packages(older) == [f"torch was 1.0, is {package_versions()['torch']}"]


def test_a_plan_keeps_the_packages_that_the_study_was_begun_with(
    copied: StudyFolder, make_study: MakeStudy
) -> None:
    lock = read_lock(copied.lock)
    older = {**lock.packages, "torch": "1.0"}
    write_lock(replace(lock, packages=older), copied.lock)
    assert plan(make_study(), copied).packages == older


@pytest.fixture
def chosen(whole: StudyFolder) -> Cell:
    return read_lock(whole.lock).cells[-1]


def test_the_lock_gives_one_cell_again_bit_for_bit(whole: StudyFolder, chosen: Cell, tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path / "again")
    assert plan_one_again(read_lock(whole.lock), chosen.key[:9], folder, {}).cells == [chosen]
    run_cell(folder.path, chosen.key)
    for name in ("run/weights/model.safetensors", "scores/recipe/cases.csv", "scores/recipe/summary.json"):
        mine, theirs = (one.cell(chosen.key).path / name for one in (folder, whole))
        assert mine.read_bytes() == theirs.read_bytes()
    assert [path.name for path in (folder.path / "cells").iterdir()] == [chosen.key]


def test_what_would_not_be_the_same_cell_is_refused(
    whole: StudyFolder, chosen: Cell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, folder = read_lock(whole.lock), StudyFolder(tmp_path / "again")
    for key in ("", "nothing"):
        with pytest.raises(UserError, match=r"[40] cells of study 'small' begin with"):
            plan_one_again(lock, key, folder, {})
    with pytest.raises(UserError, match=f"--source ph2: the data set of cell {chosen.key} is synthetic"):
        plan_one_again(lock, chosen.key, folder, {"ph2": tmp_path})
    with pytest.raises(UserError, match="holds other cells"):
        plan_one_again(lock, chosen.key, whole, {})
    monkeypatch.setattr(module, "code_version", lambda: "newer")
    with pytest.raises(UserError, match="this is newer"):
        plan_one_again(lock, chosen.key, folder, {})
    assert not folder.path.exists()


def test_the_cell_run_again_may_read_its_data_elsewhere(
    whole: StudyFolder, chosen: Cell, tmp_path: Path
) -> None:
    lock = read_lock(whole.lock)
    data = chosen.recipe.data.model_copy(update={"sources": {"ph2": Path("/old")}})
    moved = replace(chosen, dataset="mine", recipe=chosen.recipe.model_copy(update={"data": data}))
    folder = StudyFolder(tmp_path / "again")
    for name in ("ph2", "mine"):
        plan = plan_one_again(replace(lock, cells=[moved]), chosen.key, folder, {name: Path("/new")})
        assert plan.cells[0].recipe.data.sources == {"ph2": Path("/new")}
    assert json.loads(folder.lock.read_text())["cells"][chosen.key]["recipe"]["data"]["sources"] == {
        "ph2": "/new"
    }
