"""The verb `plan`, which measures this machine or reads what was measured on another one."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mlffm_segdiff.benchmark.measured_speeds import SAVED_START, STAGES
from mlffm_segdiff.benchmark.photographs import write_photographs

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A machine that decodes 2 megapixels in 0.1 s, as long as the network takes, and writes 10 kB."""

    def line(fixed: float, per_megapixel: float = 0) -> dict[str, float]:
        return {"fixed": fixed, "per_megapixel": per_megapixel}

    def size(megapixels: float) -> dict[str, object]:
        times = {"decode": 0.05 * megapixels, "network": 0.1}
        return {
            "megapixels": megapixels,
            "images": 8,
            "stages": dict.fromkeys(STAGES, 0) | times,
            "gpu": None,
            "input_bytes": 1.5e5 * megapixels,
            "output_bytes": 1e4,
            "driver_seconds": 0,
        }

    speeds = {
        "machine": "one",
        "weights": "default",
        "threads": 1,
        "cores": 4,
        "stages": dict.fromkeys(STAGES, line(0)) | {"decode": line(0, 0.05), "network": line(0.1)},
        "gpu": None,
        "input_bytes": line(0, 1.5e5),
        "output_bytes": line(1e4),
        "driver_seconds": 0,
        "entry_bytes": 300,
    }
    path = tmp_path / "machine.json"
    path.write_text(
        json.dumps(
            {"speeds": speeds, "sizes": [size(1), size(2), size(8)], "check": size(4), "megapixels": 2}
        )
    )
    return path


def test_a_plan_follows_from_the_file_of_a_machine(machine: Path, command: Command, tmp_path: Path) -> None:
    """1,000 shards of 1,000 images at 0.2 s on 25 workers at a time: 40 rounds of 200 s."""
    report = tmp_path / "new.md"
    given = ("--images", 10**6, "--nodes", 5, "--cores", 5, "--price-per-hour", 3.6, "--latency-ms", 0)
    free = ("--get-price", 0, "--put-price", 0, "--storage-price", 0.1, "--hours-between-losses", 1e9)
    status, printed, _ = command("plan", "--machine", machine, *given, *free, "--report", report, "--json")
    assert status == 0
    found = json.loads(printed)
    assert found["seconds"] == pytest.approx(40 * 200)
    assert found["costs"] == pytest.approx({"nodes": 5 * 8000 * 0.001, "requests": 0, "storage": 1})
    assert (found["shards"], found["bottleneck"], found["check_error"]) == (1000, "CPU (decode)", 0)
    assert [one["nodes"] for one in found["by_nodes"]] == [1, 5, 10, 100, 1000]
    text = report.read_text()
    assert text.startswith("# Plan of 1,000,000 images\n")
    assert "| check | 4 | 8 | 300 | 300 | +0.0 % |" in text
    assert "1,000,000 images in 1,000 shards take 2.22 hours on 5 nodes and cost 41" in text
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith(("| decode |", "| network |"))]
    assert {row[1] for row in rows} == {"100"}
    assert {row[2] for row in rows} == {"20"}, "0.1 s of a fifth of 3.6 an hour, a million times"


def test_images_of_the_user_are_measured_and_saved(command: Command, trained: Path, tmp_path: Path) -> None:
    images, saved = tmp_path / "images", tmp_path / "machine.json"
    for number, side in enumerate((32, 48, 64, 96)):
        write_photographs(images, 2, side, side, first=2 * number)
    few = ("--weights", trained, "--repeats", 1, "--images", 1000)
    status, printed, _ = command("plan", "-i", images, *few, "--save", saved)
    assert status == 0
    assert "1,000 images in 1 shard take" in printed
    assert saved.read_text().startswith(SAVED_START)
    for _ in range(2):
        assert command("plan", "--machine", saved, "--report", tmp_path / "plan.md")[0] == 0
    again = command("plan", "--machine", saved, "--images", 1000, "--json")
    assert again[0] == 0
    found = json.loads(again[1])
    assert found["measured"] == json.loads(saved.read_text())
    assert found["measured"]["speeds"]["weights"] == str(trained)
    assert all(one["stages"]["network"] > 0 for one in found["measured"]["sizes"])
    mean = sum(2 * side**2 for side in (32, 48, 64, 96)) / 8e6
    assert found["job"]["megapixels"] == pytest.approx(mean)


@pytest.mark.parametrize("option", ["--save", "--report"])
def test_a_file_of_another_command_is_not_replaced(command: Command, tmp_path: Path, option: str) -> None:
    (tmp_path / "mine").write_text("mine")
    status, _, error = command("plan", "--weights", tmp_path / "missing", option, tmp_path / "mine")
    assert (status, (tmp_path / "mine").read_text()) == (2, "mine")
    assert "mine exists, but no earlier run wrote it; choose another name" in error


def test_a_bad_number_is_refused_before_anything_is_measured(command: Command, tmp_path: Path) -> None:
    status, _, error = command("plan", "--weights", tmp_path / "missing", "--put-rate", 0)
    assert status == 2
    assert "put rate 0 is out of range" in error


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--bandwidth", 0), "bandwidth 0 is out of range; give a number above 0"),
        (("--cores", 0), "--cores"),
        (("--save", "other.json"), "--machine measures nothing; leave out --save"),
        (("-i", "photos"), "--machine measures nothing; leave out --input"),
        (("--weights", "default"), "--machine measures nothing; leave out --weights"),
        (("sampling.steps=2",), "--machine measures nothing; leave out sampling"),
        (("--samples", 2), "--machine measures nothing; leave out --samples"),
        (("--batch-size", 8), "--machine measures nothing; leave out --batch-size"),
        (("--repeats", 7), "--machine measures nothing; leave out --repeats"),
        (("--runtime", "onnx"), "--machine measures nothing; leave out --runtime"),
        (("--device", "cpu"), "--machine measures nothing; leave out --device"),
        (("--threads", 1), "--machine measures nothing; leave out --threads"),
        (("--shard-size", 0), "--shard-size"),
        (("--bandwidth", "nan"), "bandwidth nan is out of range"),
        (("--megapixels", 0), "megapixels 0 is out of range"),
        (("--driver-memory-gb", "nan"), "driver memory nan is out of range"),
        (("--hours-between-losses", 1e-6), "lower --shard-size"),
    ],
)
def test_a_bad_number_or_an_option_without_effect_ends_in_one_line(
    machine: Path, command: Command, options: tuple[object, ...], message: str
) -> None:
    status, printed, error = command("plan", "--machine", machine, *options)
    assert (status, printed, error.count("\n")) == (2, "", 1)
    assert message in error


def test_an_option_from_the_environment_is_not_refused_where_it_has_no_effect(
    machine: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFFM_SEGDIFF_THREADS", "2")
    assert command("plan", "--machine", machine)[0] == 0
