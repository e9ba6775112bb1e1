import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from mlffm_segdiff.config.packaged import study_names
from mlffm_segdiff.study.launchers.base import Work

Command = Callable[..., tuple[int, str, str]]
KEY = re.compile(r"^([0-9a-f]{16}) (.+?), (\w+), seed (\d+): done in \d+ \w+; (.*)$", re.MULTILINE)


@pytest.fixture(autouse=True)
def _no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports have tests of their own."""
    module = ModuleType("write")
    module.write_report = lambda folder, kind: f"{kind} of {folder}"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mlffm_segdiff.study.report.write", module)


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
    }
    path = tmp_path_factory.mktemp("studies") / "small.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


@pytest.fixture
def ablate(
    command: Command, study_file: Path, lesions: Path, tiny: tuple[str, ...], tmp_path: Path
) -> Command:
    """Run the study into `out`; arguments are added."""

    def call(*more: str | Path) -> tuple[int, str, str]:
        study = ("ablate", study_file, *tiny, "--source", f"folder={lesions}", "-o", tmp_path / "out")
        return command(*study, "--threads", 1, *more)

    return call


def test_a_study_runs_to_its_end_and_says_what_failed(
    ablate: Command, command: Command, tmp_path: Path
) -> None:
    status, printed, error = ablate()
    assert status == 1
    assert printed.startswith("0 of 2 cells done, 0 running, 0 failed, time left ?\n")
    assert printed.endswith(f"report: ablation of {tmp_path / 'out'}\n")
    ((key, *cell, summary),) = KEY.findall(printed)
    assert (cell, summary) == (["full", "folder", "3"], "1 of 2 cells done, 0 running, 1 failed")
    told = rf"failed: broken, folder, seed 3: .*no/such.* \(see {tmp_path}/out/cells/\w+/failed\.txt\)\n"
    assert re.fullmatch(told, error)

    status, printed, _ = ablate()
    assert status == 1
    assert printed.startswith("1 of 2 cells done, 0 running, 0 failed, time left ")
    assert key not in printed

    lock = tmp_path / "out" / "study.lock"
    assert json.loads(lock.read_text())["cells"][key]["variant"] == "full"
    status, printed, error = command("ablate", "--lock", lock, "--cell", key[:6], "-o", tmp_path / "again")
    assert (status, error) == (0, "")
    weights = f"cells/{key}/run/weights"
    assert printed.endswith(f"its weights are those, byte for byte, in {tmp_path}/out/{weights}\n")
    one, other = (tmp_path / name / weights / "model.safetensors" for name in ("out", "again"))
    assert one.read_bytes() == other.read_bytes()
    other.write_bytes(b"")
    status, printed, _ = command("ablate", "--lock", lock, "--cell", key[:6], "-o", tmp_path / "again")
    assert status == 1
    assert "its weights are not those in" in printed
    status, _, error = command("ablate", "--lock", lock, "--cell", key[:6], "-o", tmp_path / "out")
    assert status == 2
    assert "holds that cell itself; choose another -o" in error


def test_report_only_trains_nothing(command: Command, study_file: Path, tmp_path: Path) -> None:
    status, printed, error = command("compare", study_file, "-o", tmp_path / "out", "--report-only")
    assert (status, printed, error) == (0, f"report: comparison of {tmp_path / 'out'}\n", "")
    assert not (tmp_path / "out").exists()


def test_ctrl_c_says_how_to_go_on(ablate: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def press(study: Path, key: str) -> None:
        raise KeyboardInterrupt

    work: Work = press
    monkeypatch.setattr("mlffm_segdiff.study.study.run_cell", work)
    status, printed, error = ablate()
    assert (status, error) == (130, "stopped; the same command goes on\ninterrupted\n")
    assert "report" not in printed


def test_changed_packages_are_told(ablate: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlffm_segdiff.study.study.run_cell", lambda study, key: None)
    assert "since the study was begun" not in ablate()[2]
    lock = tmp_path / "out" / "study.lock"
    found = json.loads(lock.read_text())
    found["packages"]["torch"] = "1.0"
    lock.write_text(json.dumps(found))
    assert "since the study was begun, torch was 1.0, is " in ablate()[2]


def test_a_study_keeps_its_number_of_threads(
    command: Command,
    study_file: Path,
    lesions: Path,
    tiny: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mlffm_segdiff.study.study.run_cell", lambda study, key: None)
    monkeypatch.setattr("mlffm_segdiff.data.processors.processors", lambda: 8)
    out = tmp_path / "out"
    arguments = ("ablate", study_file, *tiny, "--source", f"folder={lesions}", "-o", out)
    command(*arguments, "--workers", 2)
    assert json.loads((out / "study.lock").read_text())["threads"] == 2  # half of 8, for two
    assert command(*arguments)[0] == 1  # nothing is trained, so all failed
    assert json.loads((out / "study.lock").read_text())["threads"] == 2
    status, _, error = command(*arguments, "--threads", 3)
    assert status == 2
    assert "--threads 2" in error


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ([], ["STUDY", "--lock"]),
        (["decisive", "--lock", "study.lock", "--cell", "a"], ["STUDY", "--lock"]),
        (["--lock", "study.lock"], ["--cell"]),
        (["--lock", "study.lock", "--cell", "a"], ["-o"]),
        (["--lock", "nowhere/study.lock", "--cell", "a", "-o", "x"], ["nowhere"]),
        (["decicive"], ["decicive", "decisive"]),
        (["decisive"], ["full", "isic2018", "--source isic2018=FOLDER"]),
        (["decisive", "train.imagse=3", "--source", "isic2018=x", "--source", "ph2=x"], ["train.imagse"]),
        (["decisive", "seed=3"], ["seed", "seeds"]),
        (["decisive", "--source", "isic2018=nowhere", "--source", "ph2=x"], ["nowhere"]),
        (["decisive", "--source", "ham10000=x"], ["--source ham10000", "isic2018, ph2"]),
        (["decisive", "--launcher", "cloud"], ["cloud", "slurm"]),
        (["decisive", "--launcher", "in-process", "--gpus", "1"], ["--gpus"]),
        (["nowhere.yaml"], ["nowhere.yaml"]),
    ],
)
def test_bad_input_is_told_in_one_line_and_leaves_nothing(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], names: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    status, printed, error = command("ablate", *arguments)
    assert (status, printed) == (2, "")
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert all(name in error for name in names), error
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("verb", ["ablate", "compare"])
def test_the_help_names_every_study_of_the_package(command: Command, verb: str) -> None:
    described = re.split(r"[^\w]+", command(verb, "--help")[1])
    assert set(study_names()) <= set(described)


def test_json_has_the_report_and_what_failed(ablate: Command, tmp_path: Path) -> None:
    status, printed, error = ablate("--json", "--quiet")
    assert status == 1
    found = json.loads(printed)
    assert found["report"] == f"ablation of {tmp_path / 'out'}"
    ((key, reason),) = found["failed"].items()
    assert "no/such" in reason
    assert error.startswith("failed: broken, folder, seed 3: ")
    assert error.count("\n") == 1
    lock = tmp_path / "out" / "study.lock"
    assert key in json.loads(lock.read_text())["cells"]
