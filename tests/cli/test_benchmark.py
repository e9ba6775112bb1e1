import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from mlffm_segdiff.benchmark.run import MEASUREMENTS

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def weights(untrained: Callable[..., Path]) -> Path:
    """Tiny weights at 64 x 64, the least that SwinUNETR takes."""
    return untrained("isic2018", "model.size=tiny", "data.size=64")


def test_chosen_measurements_are_printed_and_written(
    tmp_path: Path, weights: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "new" / "speed"
    options = ["--only", "segmentation", "--only", "predict", "--precision", "float32", "--threads", "1"]
    few = ["--repeats", "1", "--images", "3"]
    where = ("--weights", weights, "-o", output)
    monkeypatch.setattr(sys, "argv", ["/somewhere/mlffm-segdiff", "benchmark", "--only", "predict"])
    status, printed, _ = command("benchmark", *options, *few, *where)
    assert status == 0
    assert printed.splitlines()[-1] == f"table, chart and all timings: {output}"
    assert "at least 0.9" in printed
    assert "at most 0.25" in printed
    found = json.loads((output / "benchmark.json").read_text())
    assert [(goal["goal"], goal["format"]) for goal in found["goals"]] == [
        ("segmentation-1", "float32"),
        ("segmentation-16", "float32"),
        ("predict", "float32"),
    ]
    assert all(goal["figure"] is not None for goal in found["goals"])
    assert found["command"] == "mlffm-segdiff benchmark --only predict"
    assert (found["weights"], found["threads"]) == (str(weights), torch.get_num_threads())
    assert [len(timing["turns_s"]) for timing in found["timings"]["float32"].values()] == [1] * 6
    assert set(found["facts"]["float32"]["parameters"]) == {"ours", "SwinUNETR-24"}
    assert "| predict | images/s of predict divided by " in (output / "benchmark.md").read_text()
    with Image.open(output / "benchmark.png") as chart:
        assert chart.format == "PNG"


def test_random_weights_of_a_recipe_are_measured(tmp_path: Path, command: Command) -> None:
    few = ("--only", "predict", "--repeats", 1, "--images", 1, "--threads", 1, "--precision", "float32")
    status, _, _ = command("benchmark", "--recipe", "isic2018", *few, "-o", tmp_path)
    assert status == 0
    assert json.loads((tmp_path / "benchmark.json").read_text())["weights"] == "random, of recipe isic2018"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--only", "speed"], "'speed' is not one of segmentation, denoising"),
        (["--repeats", "0"], "--repeats"),
        (["--images", "0"], "--images"),
        (["--precision", "int8"], "--precision"),
        (["--recipe", "no_such_recipe"], "no_such_recipe"),
        (["--weights", "nowhere/at/all"], "nowhere/at/all"),
    ],
)
def test_a_bad_option_ends_in_one_line_and_writes_nothing(
    tmp_path: Path, weights: Path, command: Command, options: list[str], message: str
) -> None:
    arguments = {"--weights": weights, "--threads": 1, "-o": tmp_path / "out"}
    if "--recipe" in options:
        del arguments["--weights"]
    given = [part for pair in arguments.items() if pair[0] not in options for part in pair]
    status, printed, error = command("benchmark", "--only", "predict", *given, *options)
    assert (status, printed, error.count("\n")) == (2, "", 1)
    assert error.startswith("error: ")
    assert message in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--recipe", "isic2018", "--weights", "default"], "--recipe is measured with random weights"),
        (["--only", "peak", "--images", "5"], "only the measurement predict reads files"),
    ],
)
def test_options_without_an_effect_are_refused(
    tmp_path: Path, command: Command, options: list[str], message: str
) -> None:
    status, _, error = command("benchmark", "-o", tmp_path / "out", *options)
    assert (status, error) == (2, f"error: {message}; leave out {options[2]}\n")


def test_help_names_every_measurement(command: Command) -> None:
    status, printed, _ = command("benchmark", "--help")
    assert status == 0
    assert all(name in printed for name in MEASUREMENTS)


def test_json_is_that_of_the_file(tmp_path: Path, weights: Path, command: Command) -> None:
    where = ("--weights", weights, "-o", tmp_path, "--repeats", 1, "--images", 1)
    options = ("--only", "predict", "--precision", "float32", "--threads", "1", "--json", "--quiet")
    status, printed, error = command("benchmark", *options, *where)
    assert (status, error) == (0, "")
    written = json.loads((tmp_path / "benchmark.json").read_text())
    assert json.loads(printed) == {"output": str(tmp_path), **written}
