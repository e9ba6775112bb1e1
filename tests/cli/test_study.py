import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from mlffm_segdiff.config.packaged import study_names

Command = Callable[..., tuple[int, str, str]]
KEY = re.compile(r"^([0-9a-f]{16}) (.+?), (\w+), seed (\d+): done in \d+ \w+; (.*)$", re.MULTILINE)


@pytest.fixture
def no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports have their own tests."""
    monkeypatch.setattr(
        "mlffm_segdiff.study.report.write_report", lambda folder, properties=None: f"report of {folder}"
    )


@pytest.fixture(scope="module")
def study_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One variant with one seed on the data set `folder`, and one that cannot be trained."""
    values = {
        "name": "small",
        "variants": {
            "broken": {"recipe": "synthetic", "overrides": ["train.init=/no/such/weights"]},
            "full": {"recipe": "synthetic"},
        },
        "datasets": {"folder": {}},
        "seeds": [3],
        "baseline": "full",
        "launcher": {"threads": 1},
    }
    path = tmp_path_factory.mktemp("studies") / "small.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


@pytest.fixture
def study(
    command: Command,
    study_file: Path,
    lesions: Path,
    tiny: tuple[str, ...],
    tmp_path: Path,
    no_report: None,
) -> Command:
    """Run or plan the study in `out`: study(verb, *more arguments)."""

    def call(verb: str, *more: str | Path) -> tuple[int, str, str]:
        arguments = (study_file, *tiny, *more, "--source", f"folder={lesions}", "-o", tmp_path / "out")
        return command("study", verb, *arguments)

    return call


def test_a_study_runs_to_its_end_names_failures_and_repeats_a_cell(
    study: Command, command: Command, study_file: Path, lesions: Path, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    status, printed, error = study("run")
    assert status == 1
    assert printed.startswith("0 of 2 cells done, 0 running, 0 failed, time left ?\n")
    assert printed.endswith(f"report: report of {tmp_path / 'out'}\n")
    ((key, *cell, summary),) = KEY.findall(printed)
    assert (cell, summary) == (["full", "folder", "3"], "1 of 2 cells done, 0 running, 1 failed")
    said = rf"failed: broken, folder, seed 3: .*no/such.* \(see {tmp_path}/out/cells/\w+/failed\.txt\)\n"
    said += "the same command tries the failed cells again\n"
    assert re.fullmatch(said, error)

    status, printed, _ = study("run")
    assert status == 1
    assert printed.startswith("1 of 2 cells done, 0 running, 1 failed\n")
    assert key not in printed

    status, printed, error = study("plan", "--json")
    assert status == 0
    rows = {row["variant"]: row for row in json.loads(printed)["cells"]}
    assert (rows["full"]["key"], rows["full"]["state"], rows["broken"]["state"]) == (key, "done", "failed")
    assert rows["full"]["minutes"] > 0
    assert rows["broken"]["minutes"] is None
    assert rows["full"]["estimated_minutes"] is rows["broken"]["estimated_minutes"] is None

    source = ("--source", f"folder={lesions}")
    elsewhere = ("study", "plan", study_file, *tiny, *source, "-o", tmp_path / "other", "--json", "--no-time")
    for file, state in ((None, "to copy"), ("finished.json", "to score"), ("trained.json", "waiting")):
        if file:
            (tmp_path / "out" / "cells" / key / file).rename(tmp_path / file)
        reused = json.loads(command(*elsewhere, "--reuse", tmp_path / "out")[1])
        assert {row["state"] for row in reused["cells"]} == {state, "waiting"}
    for file in ("finished.json", "trained.json"):
        (tmp_path / file).rename(tmp_path / "out" / "cells" / key / file)

    repeat = ("study", "repeat", tmp_path / "out", key[:6], "-o")
    status, printed, error = command(*repeat, tmp_path / "again")
    assert (status, error) == (0, "")
    weights = f"cells/{key}/run/weights"
    same = f"its weights are identical, byte for byte, to those in {tmp_path}/out/{weights}\n"
    assert printed.endswith(same)
    (tmp_path / "again" / weights / "model.safetensors").write_bytes(b"")
    status, printed, _ = command(*repeat, tmp_path / "again")
    assert status == 1
    assert "its weights differ from those in" in printed
    status, _, error = command(*repeat, tmp_path / "out")
    assert status == 2
    assert "is the study itself; choose another folder" in error


def test_plan_lists_the_cells_and_their_time_and_writes_nothing(study: Command, tmp_path: Path) -> None:
    status, printed, error = study("plan", "--no-time")
    assert (status, error) == (0, "")
    assert printed.count("waiting") == 3  # two rows, and the sum
    assert printed.endswith("2 cells: 2 waiting\n")
    status, printed, error = study("plan")
    assert status == 0
    assert re.fullmatch(r"cannot be trained: broken, folder, seed 3: .*/no/such/weights.*\n", error)
    total = (
        r"training takes about \d+ s on this machine for 1 of 2 cells, 1 at a time; scoring is not included\n"
    )
    assert re.search(rf"2 cells: 2 waiting\n{total}\Z", printed)
    assert len(re.findall(r"about \d\.\d", printed)) == 1
    assert not (tmp_path / "out").exists()


def test_plan_for_other_machines_lists_cells_whose_device_is_not_here(
    study: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlffm_segdiff.segmenters.device.found_devices", lambda: ["cpu"])
    status, printed, error = study("plan", "launcher.name=slurm", "--device", "cuda")
    assert status == 0
    assert printed.count("waiting") == 3  # two rows, and the sum
    assert "training takes" not in printed
    assert error.startswith("times cannot be measured on this machine: no device cuda")
    status, _, error = study("plan", "launcher.name=local", "--device", "cuda")
    assert status == 2
    assert "no device cuda" in error


@pytest.mark.usefixtures("no_report")
def test_report_trains_nothing(command: Command, tmp_path: Path) -> None:
    status, printed, error = command("study", "report", tmp_path / "out")
    assert (status, printed, error) == (0, f"report: report of {tmp_path / 'out'}\n", "")
    assert not (tmp_path / "out").exists()


def test_ctrl_c_prints_how_to_resume(study: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def press(study: Path, key: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mlffm_segdiff.study.runner.run_cell", press)
    status, printed, error = study("run")
    assert (status, error) == (130, "stopped; the same command resumes the study\ninterrupted\n")
    assert "report" not in printed


def test_changed_packages_are_named(study: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlffm_segdiff.study.runner.run_cell", lambda study, key: None)
    assert "when the study was started" not in study("run")[2]
    plan = tmp_path / "out" / "plan.json"
    found = json.loads(plan.read_text())
    found["packages"]["torch"] = "1.0"
    plan.write_text(json.dumps(found))
    assert "torch was 1.0 when the study was started, now it is " in study("run")[2]


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["run"], ["STUDY"]),
        (["report", "nowhere"], ["nowhere", "plan.json"]),
        (["repeat", "nowhere", "a", "-o", "x"], ["nowhere", "plan.json"]),
        (["repeat", "nowhere", "a"], ["-o"]),
        (["run", "evidense"], ["evidense", "evidence"]),
        (["plan", "evidence"], ["full", "isic2018", "source isic2018=FOLDER"]),
        (
            ["run", "evidence", "train.imagse=3", "--source", "isic2018=x", "--source", "ph2=x"],
            ["train.imagse"],
        ),
        (["run", "evidence", "seed=3"], ["seed", "seeds"]),
        (["run", "evidence", "--source", "isic2018=nowhere", "--source", "ph2=x"], ["nowhere"]),
        (["run", "evidence", "--source", "ham10000=x"], ["source ham10000", "isic2018, ph2"]),
        (["run", "evidence", "launcher.name=cloud"], ["launcher.name", "slurm"]),
        (["run", "evidence", "launcher.gpus=1"], ["gpus", "in-process"]),
        (["run", "nowhere.yaml"], ["nowhere.yaml"]),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], names: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    status, printed, error = command("study", *arguments)
    assert (status, printed) == (2, "")
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert all(name in error for name in names), error
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("verb", ["run", "plan"])
def test_the_help_names_every_packaged_study(command: Command, verb: str) -> None:
    described = re.split(r"[^\w]+", command("study", verb, "--help")[1])
    assert set(study_names()) <= set(described)


def test_json_has_the_report_and_what_failed(study: Command, tmp_path: Path) -> None:
    status, printed, error = study("run", "--json", "--quiet")
    assert status == 1
    found = json.loads(printed)
    assert found["report"] == f"report of {tmp_path / 'out'}"
    ((key, reason),) = found["failed"].items()
    assert "no/such" in reason
    assert error.startswith("failed: broken, folder, seed 3: ")
    assert error.count("\n") == 2
    assert key in [cell["key"] for cell in json.loads((tmp_path / "out" / "plan.json").read_text())["cells"]]
