"""--device of each verb; no GPU is here, so torch's answers are stand-ins."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import typer

from mlffm_segdiff.cli.app import app
from mlffm_segdiff.cli.common import Reporter
from mlffm_segdiff.cli.runtime import load_weights
from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.export import graph_cache
from mlffm_segdiff.inference.demo import samples_folder

Command = Callable[..., tuple[int, str, str]]
IMAGE = str(samples_folder() / "sample_1.png")
STUDY = """
name: small
variants: {full: {recipe: synthetic}}
datasets: {synthetic: {}}
seeds: [3]
overrides: [model.size=tiny, data.size=32, data.synthetic_count=20]
baseline: full
"""
RUNS_A_NETWORK = {
    "predict": ["-i", IMAGE, "-o", "made"],
    "evaluate": ["default", "--source", "synthetic", "-o", "made"],
    "measure-change": [IMAGE, IMAGE],
    "plan": ["--save", "made"],
    "serve": ["--port", "0"],
    "train": ["synthetic", "--run", "made"],
    "demo": ["-o", "made"],
    "benchmark": ["--only", "predict", "-o", "made"],
    "study plan": ["small.yaml", "-o", "made"],
    "study run": ["small.yaml", "-o", "made"],
    "study repeat": ["study", "a", "-o", "made"],
}


def verbs_with_device() -> set[str]:
    command = typer.main.get_command(app)
    flat = {name: one for name, one in command.commands.items() if not hasattr(one, "commands")}
    nested = {
        f"{name} {inner}": one
        for name, group in command.commands.items()
        for inner, one in getattr(group, "commands", {}).items()
    }
    return {name for name, one in (flat | nested).items() if any("--device" in p.opts for p in one.params)}


def test_every_verb_that_runs_a_network_has_it() -> None:
    assert verbs_with_device() == set(RUNS_A_NETWORK)


@pytest.mark.parametrize("verb", RUNS_A_NETWORK)
def test_a_device_that_is_not_there_is_one_line_and_leaves_nothing(
    verb: str, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    (tmp_path / "small.yaml").write_text(STUDY)
    status, printed, error = command(*verb.split(), *RUNS_A_NETWORK[verb], "--device", "CUDA:1")
    assert (status, printed) == (2, "")
    assert error == "error: no device cuda:1: this machine has cpu; use --device cpu\n"
    assert [path.name for path in tmp_path.iterdir()] == ["small.yaml"]


def test_a_typo_is_one_line_with_a_hint(command: Command, tmp_path: Path) -> None:
    status, printed, error = command("predict", "-i", IMAGE, "-o", tmp_path, "--device", "gpu:0")
    assert (status, printed) == (2, "")
    expected = (
        "error: Invalid value for '--device': device 'gpu:0': did you mean cuda? choose auto, cpu, cuda, "
    )
    assert error == f"{expected}cuda:N, mps or xpu; see mlffm-segdiff predict --help\n"


def test_the_cpu_is_used_on_request_where_there_is_a_gpu(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With this stand-in of a GPU, the network would fail anywhere else."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    status, _, error = command("predict", "-i", IMAGE, "-o", tmp_path / "out", "--device", "cpu")
    assert (status, error) == (0, "")
    assert (tmp_path / "out" / "masks" / "sample_1.png").is_file()


def test_exported_graphs_run_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert load_weights("default", None, "float32", "auto", Reporter())[1] == torch.device("cuda")
    monkeypatch.setattr(graph_cache, "load_graphs", lambda *_: "an exported folder")
    for device in ("auto", "cpu"):
        assert load_weights("exported", None, "float32", device, Reporter())[1] == torch.device("cpu")
    with pytest.raises(UserError, match="exported graphs run on the CPU, not on cuda:0; leave out --device"):
        load_weights("exported", None, "float32", "cuda:0", Reporter())


def test_doctor_lists_the_devices(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlffm_segdiff.benchmark.machine.has_gpu_driver", lambda: True)
    monkeypatch.setattr("mlffm_segdiff.segmenters.device.found_devices", lambda: ["cpu", "mps"])
    monkeypatch.setenv("COLUMNS", "300")
    printed = command("doctor")[1]
    assert "\ndevices" in printed
    assert "cpu, mps" in printed
