import json
import re
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.study import Study, load_study
from mlffm_segdiff.data.synthetic import write_folder
from mlffm_segdiff.study import run_cell as run_cell_module
from mlffm_segdiff.study import run_study, runner
from mlffm_segdiff.study.launchers.base import Outcome, Work
from mlffm_segdiff.study.plan import StudyPlan, package_versions, read_plan, write_plan
from mlffm_segdiff.study.progress import StudyProgress
from mlffm_segdiff.study.runner import changes, make_plan, run_cells
from mlffm_segdiff.study.study_folder import StudyFolder
from mlffm_segdiff.study.transfer import next_state

MakeStudy = Callable[..., Study]
PlanHere = Callable[[Study, StudyFolder], StudyPlan]
RunHere = Callable[[StudyPlan, StudyFolder], tuple[dict[str, str], StudyProgress]]


class Recorded:
    """A launcher that runs nothing and gives the outcomes that it was made with."""

    def __init__(self, errors: dict[str, str | None]) -> None:
        self.errors = errors
        self.asked: list[str] = []

    def launch(self, work: Work, study: Path, keys: Sequence[str]) -> Generator[Outcome, None, None]:
        self.asked = list(keys)
        for key in keys:
            yield Outcome(key, self.errors.get(key))


def test_the_folder_has_the_request_and_the_plan(whole: StudyFolder, make_study: MakeStudy) -> None:
    assert load_study(str(whole.study)) == make_study()
    assert {path.name for path in (whole.path / "cells").iterdir()} == {
        cell.key for cell in read_plan(whole.plan).cells
    }


def test_finished_cells_are_never_run_again(
    copied: StudyFolder, make_study: MakeStudy, plan_here: PlanHere
) -> None:
    before = copied.plan.read_bytes()
    plan, nobody = plan_here(make_study(), copied), Recorded({})
    assert run_cells(plan, copied, nobody) == {}
    assert nobody.asked == []
    assert StudyProgress(plan, copied).count("done") == 4
    assert copied.plan.read_bytes() == before


def test_a_larger_study_runs_what_is_new(
    copied: StudyFolder, make_study: MakeStudy, plan_here: PlanHere
) -> None:
    plan, launcher = plan_here(make_study(seeds=[1, 2]), copied), Recorded({})
    run_cells(plan, copied, launcher)
    assert launcher.asked == [cell.key for cell in plan.cells if cell.seed == 2]


def test_a_smaller_request_warns_of_the_cells_that_it_leaves_out(
    copied: StudyFolder, make_study: MakeStudy, plan_here: PlanHere, caplog: pytest.LogCaptureFixture
) -> None:
    plan_here(make_study(), copied)
    assert caplog.messages == []
    plan_here(make_study(seeds=[1]), copied)
    (warning,) = caplog.messages
    assert re.match(r"2 finished cells of .* are not in this request", warning)
    plan = plan_here(make_study(), copied)
    assert StudyProgress(plan, copied).count("done") == 4


def test_another_part_warns_of_the_scores_that_it_replaces(
    copied: StudyFolder, make_study: MakeStudy, plan_here: PlanHere, caplog: pytest.LogCaptureFixture
) -> None:
    places = [copied.cell(cell.key) for cell in read_plan(copied.plan).cells]
    places[0].trained.unlink()
    study = make_study(part="val")
    asked = make_plan(study, copied, {})
    assert [next_state(cell, asked, copied) for cell in asked.cells] == ["waiting", *["to score"] * 3]
    plan_here(study, copied)
    (warning,) = caplog.messages
    assert re.match(r"4 finished cells of .* lack requested scores; .* the 1 without weights", warning)


def test_a_new_evaluation_opens_finished_cells_again(
    copied: StudyFolder,
    make_study: MakeStudy,
    plan_here: PlanHere,
    run_here: RunHere,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    study = make_study(evaluations={"recipe": [], "steps_1": ["sampling.steps=1"]})
    plan = plan_here(study, copied)
    monkeypatch.delattr(run_cell_module, "train")
    failures, progress = run_here(plan, copied)
    assert (failures, progress.count("done")) == ({}, 4)
    assert len(list(copied.path.glob("cells/*/scores/steps_1/cases.csv"))) == 4


def test_a_failed_cell_is_named_the_others_run_and_the_next_call_retries_it_last(
    make_study: MakeStudy, plan_here: PlanHere, run_here: RunHere, tmp_path: Path
) -> None:
    folder = StudyFolder(tmp_path / "study")
    broken = {"recipe": "synthetic", "overrides": ["train.init=/no/such/weights"]}
    study = make_study(variants={"broken": broken, "full": {"recipe": "synthetic"}}, seeds=[0])
    plan = plan_here(study, folder)
    bad, good = (cell.key for cell in plan.cells)
    failures, progress = run_here(plan, folder)
    assert set(failures) == {bad}
    assert "/no/such/weights" in failures[bad]
    assert [progress.state(cell) for cell in plan.cells] == ["failed", "done"]
    assert "/no/such/weights" in folder.cell(bad).failed.read_text()

    folder.cell(good).finished.unlink()
    launcher = Recorded({})
    failures = run_cells(plan, folder, launcher)
    assert launcher.asked == [good, bad]
    assert set(failures.values()) == {"it ended without finished.json"}


def test_finished_json_decides_whatever_the_launcher_reports(copied: StudyFolder) -> None:
    plan, ended = read_plan(copied.plan), []
    places = [copied.cell(cell.key) for cell in plan.cells]
    accounts = [place.finished.read_text() for place in places]
    for place in places:
        place.finished.unlink()

    class Finishes(Recorded):
        def launch(self, work: Work, study: Path, keys: Sequence[str]) -> Generator[Outcome, None, None]:
            for outcome in super().launch(work, study, keys):
                copied.cell(outcome.key).finished.write_text(accounts[0])
                yield outcome

    failures = run_cells(
        plan,
        copied,
        Finishes({plan.cells[0].key: "the node is lost"}),
        lambda cell, error: ended.append((cell, error)),
    )
    assert failures == {}
    assert ended == [(cell, None) for cell in plan.cells]


def test_a_cell_whose_process_died_has_failed(copied: StudyFolder) -> None:
    plan = read_plan(copied.plan)
    place = copied.cell(plan.cells[0].key)
    place.finished.unlink()
    place.running.write_text("{}")
    assert run_cells(plan, copied, Recorded({plan.cells[0].key: "no result"})) == {
        plan.cells[0].key: "no result"
    }
    assert place.failed.read_text() == "no result\n"
    assert StudyProgress(plan, copied).state(plan.cells[0]) == "failed"


def test_only_marks_of_killed_processes_are_removed(copied: StudyFolder) -> None:
    """A job of an earlier command may still run a cell."""
    plan = read_plan(copied.plan)
    for cell in plan.cells[:2]:
        copied.cell(cell.key).finished.unlink()
        copied.cell(cell.key).running.write_text("{}")
    with FileLock(copied.cell(plan.cells[0].key).guard):
        run_cells(plan, copied, Recorded({}))
    assert [copied.cell(cell.key).running.exists() for cell in plan.cells[:2]] == [True, False]


def test_a_wrong_study_writes_nothing(make_study: MakeStudy, plan_here: PlanHere, tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path / "study")
    with pytest.raises(UserError, match="'full'"):
        plan_here(
            make_study(variants={"full": {"recipe": "synthetic", "overrides": ["data.size=33"]}}), folder
        )
    assert not folder.path.exists()


def test_a_folder_of_something_else_is_refused(
    copied: StudyFolder, make_study: MakeStudy, plan_here: PlanHere, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("")
    with pytest.raises(UserError, match="is not empty and not a study"):
        plan_here(make_study(), StudyFolder(tmp_path / "mine"))
    with pytest.raises(UserError, match="belongs to the study 'small'"):
        plan_here(make_study(name="other"), copied)


def test_a_plan_that_was_killed_half_written_is_made_again(
    copied: StudyFolder, make_study: MakeStudy, plan_here: PlanHere, tmp_path: Path
) -> None:
    copied.study.unlink()
    assert StudyProgress(plan_here(make_study(), copied), copied).count("done") == 4
    assert copied.study.is_file()
    unfinished = StudyFolder(tmp_path / "unfinished")
    (unfinished.path / ".part-1").mkdir(parents=True)  # see files/atomic.py
    assert plan_here(make_study(), unfinished).cells


def test_cells_of_other_code_are_kept_and_named(
    copied: StudyFolder, make_study: MakeStudy, plan_here: PlanHere, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = read_plan(copied.plan)
    code = copied.cell(before.cells[0].key).account()["training_code"]
    assert changes(before, copied) == []
    monkeypatch.setattr(runner, "code_of", lambda recipe: "newer")
    plan = plan_here(make_study(), copied)
    assert [cell.key for cell in plan.cells] == [cell.key for cell in before.cells]
    assert StudyProgress(plan, copied).count("done") == 4
    for word, said in zip(("trained", "scored"), changes(plan, copied), strict=True):
        assert said.startswith(f"4 finished cells were {word} by other code than now ({code}); they are kept")


def test_cells_of_other_threads_are_named(copied: StudyFolder) -> None:
    plan = read_plan(copied.plan)
    finished = copied.cell(plan.cells[0].key).finished
    account = json.loads(finished.read_text())
    finished.write_text(json.dumps(account | {"threads": 4}))
    (said,) = changes(plan, copied)
    assert said.startswith("1 finished cells were trained with other threads (4; here 1), ")
    del account["threads"]  # an older record
    finished.write_text(json.dumps(account))
    assert changes(plan, copied) == []


def test_a_variant_under_another_name_is_the_same_training(
    copied: StudyFolder, make_study: MakeStudy, plan_here: PlanHere
) -> None:
    first, *others = make_study().variants.items()
    renamed = {"renamed": first[1], **dict(others)}
    study = make_study().model_copy(update={"variants": renamed, "baseline": "renamed"})
    assert StudyProgress(plan_here(study, copied), copied).count("done") == 4


def test_one_command_at_a_time(copied: StudyFolder, make_study: MakeStudy, plan_here: PlanHere) -> None:
    before = copied.plan.read_bytes()
    with (
        copied.claimed(),
        pytest.raises(UserError, match=r"command \(process \d+ on .*\) is using .*; wait for it"),
    ):
        plan_here(make_study(seeds=[0, 1, 2]), copied)
    assert copied.plan.read_bytes() == before
    copied.cell(read_plan(copied.plan).cells[0].key).finished.unlink()
    plan = plan_here(make_study(), copied)
    with copied.claimed(), pytest.raises(UserError, match=r"another command \(process"):
        run_cells(plan, copied, Recorded({}))


def test_a_plan_replaced_by_another_command_is_not_run(
    copied: StudyFolder, make_study: MakeStudy, plan_here: PlanHere
) -> None:
    plan, nobody = plan_here(make_study(seeds=[0, 1, 2]), copied), Recorded({})
    plan_here(make_study(), copied)
    with pytest.raises(UserError, match="has the plan of another command, started just now; wait until"):
        run_cells(plan, copied, nobody)
    assert nobody.asked == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"sources": ["ph2"]}, r"sources is \['ph2'\]; give a mapping by name"),
        ({"sources": {3: "x"}}, "give a mapping by name"),
        ({"sources": {"ph2": 3}}, "3 is a int, not a path"),
        ({"reuse": "elsewhere"}, "elsewhere on .* is not a study folder"),
        ({"reuse": Path("elsewhere")}, "elsewhere on .* is not a study folder"),
    ],
)
def test_wrong_arguments_from_python_are_user_errors(
    make_study: MakeStudy, tmp_path: Path, options: dict[str, Any], says: str
) -> None:
    with pytest.raises(UserError, match=says):
        runner.run_study(make_study(), tmp_path / "study", **options)
    assert not (tmp_path / "study").exists()


def test_a_lost_plan_is_made_again_and_a_damaged_account_named(
    copied: StudyFolder, make_study: MakeStudy, plan_here: PlanHere
) -> None:
    copied.plan.unlink()
    plan = plan_here(make_study(), copied)
    assert StudyProgress(plan, copied).count("done") == 4
    record = json.loads(copied.cell(plan.cells[0].key).finished.read_text())
    damaged = [{**record, key: None} for key in ("training_code", "python", "packages", "evaluations")]
    for text in ("", "[]", "{}", '{"seconds": "abc"}', *map(json.dumps, damaged)):
        copied.cell(plan.cells[0].key).finished.write_text(text)
        with pytest.raises(UserError, match=r"finished\.json cannot be read .* delete it"):
            StudyProgress(plan, copied).seconds(plan.cells[0])


def test_other_packages_are_named(whole: StudyFolder) -> None:
    plan = read_plan(whole.plan)
    assert changes(plan, whole) == []
    (said,) = changes(replace(plan, packages={**plan.packages, "torch": "1.0"}), whole)
    assert said.startswith("torch was 1.0 when the study was started, now it is ")
    assert package_versions()["torch"] in said


def test_a_plan_keeps_the_packages_that_the_study_was_started_with(
    copied: StudyFolder, make_study: MakeStudy, plan_here: PlanHere
) -> None:
    plan = read_plan(copied.plan)
    older = {**plan.packages, "torch": "1.0"}
    write_plan(replace(plan, packages=older), copied.plan)
    assert plan_here(make_study(), copied).packages == older


def test_a_study_runs_from_python_by_its_keys_and_values(
    make_study: MakeStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(tmp_path / "lesions", 8, 48, seed=3)
    monkeypatch.setattr("mlffm_segdiff.study.report.write_report", lambda folder: folder / "report")
    ended = []
    monkeypatch.setattr(
        runner, "run_cells", lambda plan, folder, launcher, on_end: ended.extend(plan.cells) or {}
    )
    keys = {
        "name": "mine",
        "variants": {
            "full": {"recipe": "synthetic"},
            "plain": {"recipe": "synthetic", "overrides": ["loss.weight=none"]},
        },
        "datasets": {"folder": {}},
        "seeds": [3],
        "overrides": make_study().overrides,
        "baseline": "full",
        "rank": True,
    }
    sources, out = {"folder": tmp_path / "lesions"}, tmp_path / "mine"
    found = run_study(keys, out, sources)
    assert (found.folder, found.report, found.failures) == (out, out / "report", {})
    assert [(cell.variant, cell.dataset, cell.seed) for cell in ended] == [
        ("full", "folder", 3),
        ("plain", "folder", 3),
    ]
    plan = read_plan(out / "plan.json")
    assert (plan.name, plan.baseline, plan.rank) == ("mine", "full", True)
    assert run_study(str(out / "study.yaml"), out, sources).folder == out
    with pytest.raises(UserError, match="unknown key 'bseline'"):
        run_study(keys | {"bseline": "full"}, out, sources)


def test_threads_are_shared_by_workers_and_kept(
    make_study: MakeStudy, plan_here: PlanHere, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "processors", lambda: 8)
    folder = StudyFolder(tmp_path / "study")
    assert (
        plan_here(make_study(launcher={"name": "local", "workers": 2}), folder).threads == 2
    )  # half of 8, for two
    assert make_plan(make_study(launcher={}), folder, {}).threads == 2
    with pytest.raises(UserError, match=r"started with launcher\.threads=2"):
        make_plan(make_study(launcher={"threads": 3}), folder, {})
    assert make_plan(make_study(launcher={}), StudyFolder(tmp_path / "other"), {}).threads == 4
