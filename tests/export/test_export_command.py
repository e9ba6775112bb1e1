import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from mlffm_segdiff.segmenters.assembly import build_segmenter
from mlffm_segdiff.segmenters.pretrained import save_segmenter
from mlffm_segdiff.segmenters.recipe import load_recipe

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of weights of a tiny U-Net: the network that is exported fastest."""
    recipe = load_recipe("unet", ["model.widths=[4,8]", "model.residual_units=1", "data.size=32"])
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("weights") / "unet"
    save_segmenter(build_segmenter(recipe), recipe, folder)
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for seed, size in enumerate([(56, 40), (33, 61), (90, 45)]):
        coarse = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize(size).save(folder / f"p{seed}.png")
    return folder


@pytest.fixture
def predict(tmp_path: Path, photos: Path, command: Command) -> Callable[..., list[npt.NDArray[np.float64]]]:
    """Probability maps of the photos, 0 to 255, in order of their names: predict(weights, *options)."""

    def call(weights: Path, *options: str) -> list[npt.NDArray[np.float64]]:
        folder = tmp_path / "out" / "-".join([weights.name, *options])
        where = ("-i", photos, "-o", folder, "--weights", weights)
        status, _, error = command("predict", *where, *options, "-w", "probability", "--threads", "1")
        assert (status, error) == (0, "")
        return [np.asarray(Image.open(path)) / 257 for path in sorted((folder / "probabilities").iterdir())]

    return call


Predict = Callable[..., list[npt.NDArray[np.float64]]]


@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
def test_a_runtime_and_exported_graphs_find_what_the_weights_find(
    runtime: str, weights: Path, tmp_path: Path, command: Command, predict: Predict
) -> None:
    status, printed, error = command("export", weights, "--format", runtime, "-o", tmp_path / "graphs")
    assert (status, error) == (0, "")
    assert printed.startswith(f"exported: {tmp_path / 'graphs'} (config.json, export.json, network.")
    expected = predict(weights)
    assert np.std(expected[0]) > 0
    for found in (
        predict(tmp_path / "graphs"),
        predict(tmp_path / "graphs", "--runtime", runtime),
        predict(weights, "--runtime", runtime),
    ):
        assert max(np.abs(a - b).max() for a, b in zip(expected, found, strict=True)) <= 1


def test_graphs_of_weights_are_made_once(
    weights: Path, tmp_path: Path, predict: Predict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFFM_SEGDIFF_CACHE", str(tmp_path / "cache"))
    first = predict(weights, "--runtime", "onnx")
    (kept,) = (tmp_path / "cache").iterdir()
    assert json.loads((kept / "export.json").read_text())["format"] == "onnx"
    monkeypatch.setattr("torch.onnx.export", None)
    again = predict(weights, "--runtime", "onnx", "--batch-size", "1")
    assert all(np.abs(a - b).max() <= 1 for a, b in zip(first, again, strict=True))


def test_damaged_graphs_in_the_cache_are_made_again(
    weights: Path, tmp_path: Path, predict: Predict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFFM_SEGDIFF_CACHE", str(tmp_path / "cache"))
    predict(weights, "--runtime", "onnx")
    (graph,) = (tmp_path / "cache").glob("*/segmenter.onnx")
    whole = graph.read_bytes()
    graph.write_bytes(b"no graph")
    predict(weights, "--runtime", "onnx", "--batch-size", "1")
    assert len(graph.read_bytes()) == len(whole)


def test_bf16_is_near_float32_and_not_the_same(weights: Path, predict: Predict) -> None:
    pairs = zip(predict(weights), predict(weights, "--precision", "bf16"), strict=True)
    differences = [np.abs(a - b).max() for a, b in pairs]
    assert 0 < max(differences) <= 10  # of 255


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--runtime", "onnx", "--precision", "bf16"], "--precision float32"),
        (["--runtime", "tensorrt"], "--runtime"),
        (["--precision", "float16"], "--precision"),
    ],
)
def test_a_bad_choice_ends_in_one_line_before_anything_is_made(
    options: list[str],
    message: str,
    weights: Path,
    photos: Path,
    tmp_path: Path,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFFM_SEGDIFF_CACHE", str(tmp_path / "cache"))
    status, printed, error = command(
        "predict", "-i", photos, "-o", tmp_path / "out", "--weights", weights, *options
    )
    assert (status, printed, error.count("\n")) == (2, "", 1)
    assert message in error
    assert not list(tmp_path.iterdir())


def test_an_exported_folder_names_its_own_runtime(
    weights: Path, photos: Path, tmp_path: Path, command: Command
) -> None:
    graphs = tmp_path / "graphs"
    assert command("export", weights, "--format", "torch", "-o", graphs)[0] == 0
    where = ("predict", "-i", photos, "-o", tmp_path / "out", "--weights", graphs)
    status, _, error = command(*where, "--runtime", "onnx")
    assert status == 2
    assert f"{graphs} has graphs for torch, not onnx; leave out --runtime" in error
    status, _, error = command(*where)
    assert status == 2
    assert "can run code" in error
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_there_is_kept(weights: Path, tmp_path: Path, command: Command) -> None:
    (tmp_path / "graphs").mkdir()
    (tmp_path / "graphs" / "mine").touch()
    status, printed, error = command("export", weights, "-o", tmp_path / "graphs")
    assert (status, printed, error.count("\n")) == (2, "", 1)
    assert f"{tmp_path / 'graphs'} exists already" in error
    assert [path.name for path in (tmp_path / "graphs").iterdir()] == ["mine"]


def test_absent_weights_and_a_wrong_format_end_in_one_line(tmp_path: Path, command: Command) -> None:
    for arguments, message in (
        ([tmp_path / "absent"], str(tmp_path / "absent")),
        (["default", "--format", "gguf"], "--format"),
    ):
        status, _, error = command("export", *arguments, "-o", tmp_path / "graphs")
        assert (status, error.count("\n")) == (2, 1)
        assert message in error
    assert not (tmp_path / "graphs").exists()


def test_json_names_the_files_and_quiet_prints_nothing(
    weights: Path, tmp_path: Path, command: Command
) -> None:
    graphs = tmp_path / "graphs"
    status, printed, error = command("export", weights, "--format", "torch", "-o", graphs, "--json", "-q")
    assert (status, error) == (0, "")
    files = sorted(path.name for path in graphs.iterdir())
    assert json.loads(printed) == {"output": str(graphs), "format": "torch", "files": files}


def test_a_monai_bundle_is_written(weights: Path, tmp_path: Path, command: Command) -> None:
    status, printed, error = command("export", weights, "--format", "monai", "-o", tmp_path / "bundle")
    assert (status, error) == (0, "")
    assert printed == f"exported: {tmp_path / 'bundle'} (LICENSE, configs, docs, models)\n"
