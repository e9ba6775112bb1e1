import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from mlffm_segdiff import __version__
from mlffm_segdiff.benchmark import machine
from mlffm_segdiff.config.extra import pip_line
from mlffm_segdiff.inference.demo import samples_folder
from mlffm_segdiff.machine import memory
from mlffm_segdiff.machine.processors import default_threads, processors
from mlffm_segdiff.segmenters.cpu import FLAGS, Cpu

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def _wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of two entries, one byte less than 3.2 GB, most of it a sparse file."""
    root = tmp_path / "cache"
    (root / "one" / "deep").mkdir(parents=True)
    (root / "two").write_bytes(b"12345")
    with (root / "one" / "deep" / "file").open("wb") as file:
        file.truncate(3_200_000_000 - 6)
    monkeypatch.setenv("MLFFM_SEGDIFF_CACHE", str(root))
    return root


def rows(printed: str) -> dict[str, str]:
    """The table's two columns, which at least two spaces divide."""
    return {name: found.strip() for name, _, found in (line.partition("  ") for line in printed.splitlines())}


def test_doctor_shows_the_machine_and_the_installation(
    command: Command, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found_cpu = Cpu("Fast One", 6, {**dict.fromkeys(FLAGS, False), "avx2": True, "amx_bf16": True})
    monkeypatch.setattr("mlffm_segdiff.segmenters.cpu.this_cpu", lambda: found_cpu)
    monkeypatch.setattr(machine, "this_cpu", lambda: found_cpu)
    monkeypatch.setattr(machine, "has_gpu_driver", lambda: False)
    monkeypatch.setattr(memory, "memory_bytes", lambda: 25_300_000_000)
    extras = {"export": ["openvino", "onnx"], "study": []}
    monkeypatch.setattr("mlffm_segdiff.config.extra.missing_packages", lambda: extras)
    status, printed, error = command("doctor")
    assert (status, error) == (0, "")
    found = rows(printed)
    assert f"mlffm-segdiff {__version__}, torch {version('torch')}, " in found["packages"]
    assert found["CPU"] == "Fast One, 6 cores"
    assert found["instructions"] == "avx2 yes, avx512_f no, avx512_bf16 no, amx_bf16 yes"
    assert found["bf16"] == "native"
    threads = f"{default_threads(processors())} of {os.cpu_count()} by default"
    assert found["threads"] == threads
    assert found["memory"] == "25.3 GB"
    assert found["GPU"] == "none: no GPU driver is loaded"
    assert found["extra export"] == f"missing openvino, onnx: {pip_line('export')}"
    assert found["extra study"] == "installed"
    assert found["weights"].startswith("default: mlffm_segdiff, 7,728,893 parameters")
    assert found["cache"].startswith(f"{cache}: 2 entries, 3.2 GB, ")
    assert len(list(cache.iterdir())) == 2, "nothing stays of what it tried"


def test_json_has_the_same_as_plain_values(
    command: Command, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu = machine.Gpu("Big One", 80_000_000_000, "9.0")
    monkeypatch.setattr(machine, "gpus", lambda: [gpu])
    monkeypatch.setattr(memory, "memory_bytes", lambda: None)
    status, printed, error = command("doctor", "--json")
    assert (status, error) == (0, "")
    found = json.loads(printed)
    assert found["gpus"] == [{"name": "Big One", "memory": 80_000_000_000, "capability": "9.0"}]
    assert found["memory"] is None
    assert found["machine"]["packages"]["mlffm-segdiff"] == __version__
    assert (found["cache"]["entries"], found["cache"]["size"]) == (2, 3_200_000_000 - 1)
    assert found["faults"] == []
    _, printed, _ = command("doctor")
    assert rows(printed)["GPU"] == "Big One, 80.0 GB, capability 9.0"
    assert rows(printed)["memory"] == "unknown"


def test_what_is_broken_sets_the_exit_status(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("MLFFM_SEGDIFF_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr("mlffm_segdiff.segmenters.saved_weights.DEFAULT_SHA256", "0" * 64)
    status, printed, error = command("doctor")
    assert status == 1
    weights, cache = error.splitlines()
    assert weights.startswith("broken: the default weights: ")
    assert weights.endswith("install mlffm-segdiff again")
    assert cache.startswith(f"broken: the cache folder: {tmp_path / 'file'}")
    assert cache.endswith("set MLFFM_SEGDIFF_CACHE to another one")
    assert rows(printed)["weights"] == "unusable"
    status, printed, _ = command("doctor", "--json")
    assert status == 1
    assert [f"broken: {fault}" for fault in json.loads(printed)["faults"]] == error.splitlines()


def with_torchvision(code: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process that finds a stand-in of torchvision."""
    (folder / "torchvision").mkdir()
    (folder / "torchvision" / "__init__.py").write_text(code)
    info = folder / "torchvision-0.28.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: torchvision\nVersion: 0.28.0\n")
    path = os.pathsep.join([str(folder), *sys.path])
    return subprocess.run(
        [sys.executable, "-m", "mlffm_segdiff", *arguments],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("code", "faults"),
    [
        ("", []),
        (
            "raise RuntimeError('operator torchvision::nms does not exist')",
            ["torchvision cannot be imported (RuntimeError: operator torchvision::nms does not exist)"],
        ),
        ("import os; os._exit(3)", ["torchvision cannot be imported (status 3)"]),
    ],
)
def test_only_a_torchvision_that_cannot_be_imported_is_broken(
    code: str, faults: list[str], tmp_path: Path
) -> None:
    done = with_torchvision(code, tmp_path, "doctor", "--json")
    assert done.returncode == bool(faults)
    assert [fault.partition(", which")[0] for fault in json.loads(done.stdout)["faults"]] == faults


@pytest.mark.parametrize("code", ["", "raise RuntimeError('operator torchvision::nms does not exist')"])
def test_images_are_segmented_next_to_any_torchvision(code: str, tmp_path: Path) -> None:
    image = samples_folder() / "sample_1.png"
    done = with_torchvision(code, tmp_path, "predict", "-q", "-i", str(image), "-o", str(tmp_path / "out"))
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "out" / "predictions.csv").is_file()
