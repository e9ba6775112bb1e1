"""``predict`` on the one ONNX graph: a process that imports torch no more, and writes the same."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mlffm_segdiff.config.schema import SamplingConfig
from mlffm_segdiff.export.graph_cache import cached_export
from mlffm_segdiff.inference.demo import samples_folder
from mlffm_segdiff.inference.outputs.writers import WRITERS
from mlffm_segdiff.segmenters.assembly import build_segmenter
from mlffm_segdiff.segmenters.base import segment_batch
from mlffm_segdiff.segmenters.outliers import OUTLIERS, fit_detector
from mlffm_segdiff.segmenters.pretrained import load_pretrained, save_segmenter
from mlffm_segdiff.segmenters.recipe import load_recipe
from mlffm_segdiff.segmenters.saved_weights import weights_digest

SLOW = ("torch", "monai", "diffusers", "lightning", "huggingface_hub", "omegaconf", "onnx", "matplotlib")
MAX_MODULES = 1100
"""Modules that the process imports; there were 990, of which about 150 are of this package."""
LISTS_MODULES = """
import json, sys
from mlffm_segdiff.cli.app import run
status = run(sys.argv[1:])
print(json.dumps([status, sorted(sys.modules)]), file=sys.stderr)
"""
OUTPUTS = [
    name for name in WRITERS if name not in ("dicom-seg", "spread")
]  # for DICOM files, and for samples

Predict = Callable[..., tuple[int, list[str], str]]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights, to which every image is an outlier, with their graphs in the cache next to them."""
    recipe = load_recipe("isic2018", ["model.size=tiny", "data.size=32"])
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("onnx")
    segmenter = build_segmenter(recipe)
    for p in segmenter.parameters():
        p.data.add_(0.05 * torch.randn_like(p))
    save_segmenter(segmenter, recipe, folder / "weights")
    image = np.zeros((1, 32, 32, 3), np.uint8)
    features = segment_batch(segmenter.eval(), image, SamplingConfig(), torch.device("cpu")).features
    assert features is not None
    cases = 100 + np.random.default_rng(0).normal(size=(80, features.shape[1]))
    detector = fit_detector({"a": cases[:40]}, {"a": cases[40:]})
    assert detector is not None
    digest = weights_digest(folder / "weights" / "model.safetensors")
    OUTLIERS.write(detector, folder / "weights", digest)
    cached_export(load_pretrained(folder / "weights"), "onnx", folder / "cache")
    return folder / "weights"


@pytest.fixture
def predict(weights: Path, tmp_path: Path) -> Predict:
    """Run predict(*options) in a process of its own: exit status, its modules, other standard error."""

    def run(*options: str) -> tuple[int, list[str], str]:
        images = ["-i", str(samples_folder()), "-o", str(tmp_path / "out"), "-q"]
        done = subprocess.run(
            [sys.executable, "-c", LISTS_MODULES, "predict", *images, "--weights", str(weights), *options],
            env={**os.environ, "MLFFM_SEGDIFF_CACHE": str(weights.parent / "cache")},
            capture_output=True,
            encoding="utf-8",
            check=True,
        )
        *messages, last = done.stderr.splitlines()
        status, modules = json.loads(last)
        return status, modules, "\n".join(messages)

    return run


def test_the_process_imports_no_torch_and_few_modules(predict: Predict, tmp_path: Path) -> None:
    """The graph is read from the cache: exporting it would have imported torch."""
    status, modules, messages = predict("--runtime", "onnx")
    assert (status, messages) == (0, "")
    assert "onnxruntime" in modules
    assert not set(SLOW) & set(modules)
    assert len(modules) < MAX_MODULES
    assert len(list((tmp_path / "out" / "masks").iterdir())) == 8


def test_all_outputs_are_as_torch_writes_them(predict: Predict, tmp_path: Path) -> None:
    write = [word for name in OUTPUTS for word in ("-w", name)]
    assert predict("--runtime", "onnx", "--maps", "npy", *write)[0] == 0
    onnx = (tmp_path / "out").rename(tmp_path / "onnx")
    assert predict("--maps", "npy", *write)[0] == 0
    roots = (onnx, tmp_path / "out")
    found, expected = ({path.relative_to(root) for path in root.rglob("*")} for root in roots)
    assert found == expected
    for path in sorted((tmp_path / "out" / "probabilities").iterdir()):
        same = np.load(onnx / "probabilities" / path.name)
        np.testing.assert_allclose(same, np.load(path), rtol=0, atol=1e-4)
    for path in sorted((tmp_path / "out" / "masks").iterdir()):
        pair = [np.asarray(Image.open(one)) for one in (path, onnx / "masks" / path.name)]
        assert (pair[0] != pair[1]).mean() < 1e-3
    columns = [list(csv.DictReader((root / "predictions.csv").read_text().splitlines())) for root in roots]
    assert [row["image"] for row in columns[0]] == [row["image"] for row in columns[1]]
    for ours, theirs in zip(*columns, strict=True):
        assert float(ours["certainty"]) == pytest.approx(float(theirs["certainty"]), abs=1e-4)
        assert float(ours["outlier_score"]) == pytest.approx(float(theirs["outlier_score"]), rel=1e-3)
        assert ours["flags"] == theirs["flags"]
        assert "not_dermoscopy" in ours["flags"]


def test_outliers_are_refused_without_torch_too(predict: Predict, tmp_path: Path) -> None:
    status, modules, messages = predict("--runtime", "onnx", "--refuse-outliers")
    assert status == 0
    assert not set(SLOW) & set(modules)
    assert [line.split(":")[0] for line in messages.splitlines()] == ["refused"] * 8
    assert not list((tmp_path / "out" / "masks").glob("*"))


@pytest.mark.parametrize(
    "options", [["--samples", "2"], ["sampling.mirror=true"], ["sampling.second_look=true"]]
)
def test_other_samplings_run_the_parts_with_torch(options: list[str], predict: Predict) -> None:
    status, modules, messages = predict("--runtime", "onnx", *options)
    assert (status, messages) == (0, "")
    assert {"torch", "onnxruntime"} <= set(modules)


def test_bf16_is_refused(predict: Predict) -> None:
    status, _, messages = predict("--runtime", "onnx", "--precision", "bf16")
    assert status == 2
    assert messages.startswith("error: ONNX Runtime does not compute in bf16")
