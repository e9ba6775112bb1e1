import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from mlffm_segdiff.config.schema import SamplingConfig
from mlffm_segdiff.data.image_quality import QualityLimits
from mlffm_segdiff.export import graph_cache, graph_model
from mlffm_segdiff.export.graph_cache import cached_export, load_graphs
from mlffm_segdiff.export.manifest import read_manifest
from mlffm_segdiff.metrics.certainty import Calibration
from mlffm_segdiff.metrics.human_agreement import AgreementModel
from mlffm_segdiff.segmenters.agreement import AgreementPredictor
from mlffm_segdiff.segmenters.calibration import Quality, StyleCalibration
from mlffm_segdiff.segmenters.outliers import fit_detector
from mlffm_segdiff.segmenters.pretrained import Pretrained, load_pretrained

Made = Callable[[str], Pretrained]


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Writing is noted and leaves an empty folder."""
    folders: list[Path] = []

    def write(pretrained: Pretrained, format_name: str, folder: Path, fix: str) -> None:
        folder.mkdir(parents=True)
        folders.append(folder)

    monkeypatch.setattr(graph_cache, "write_export", write)
    return folders


def test_graphs_are_made_once_and_stored_in_the_users_cache(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFFM_SEGDIFF_CACHE", str(tmp_path))
    folder = cached_export(made("direct"), "onnx")
    assert folder.parent == tmp_path
    assert read_manifest(folder).format == "onnx"
    monkeypatch.setattr(graph_cache, "write_export", None)
    assert cached_export(made("direct"), "onnx") == folder


def test_one_weight_another_format_or_recipe_has_graphs_of_its_own(
    made: Made, written: list[Path], tmp_path: Path
) -> None:
    pretrained = made("direct")
    other = copy.deepcopy(pretrained)
    with torch.no_grad():
        next(other.segmenter.parameters())[0, 0, 0, 0] += 1e-3
    renamed = copy.deepcopy(pretrained)
    renamed.recipe = pretrained.recipe.model_copy(update={"name": "other"})
    cached_export(pretrained, "onnx", tmp_path)
    cached_export(pretrained, "openvino", tmp_path)
    cached_export(other, "onnx", tmp_path)
    cached_export(renamed, "onnx", tmp_path)
    assert len(set(written)) == 4
    for again in (pretrained, other, renamed):
        cached_export(again, "onnx", tmp_path)
    assert len(written) == 4


@pytest.mark.parametrize("package", ["torch", "mlffm-segdiff"])
def test_another_version_has_graphs_of_its_own(
    package: str, made: Made, written: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached_export(made("direct"), "onnx", tmp_path)
    now = graph_model.version
    monkeypatch.setattr(graph_model, "version", lambda name: "99" if name == package else now(name))
    cached_export(made("direct"), "onnx", tmp_path)
    assert len(set(written)) == 2


@pytest.mark.parametrize("first", ["calibrated", "bare"])
def test_equal_weights_share_graphs_but_not_what_was_calibrated(
    first: str, made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFFM_SEGDIFF_CACHE", str(tmp_path / "cache"))
    features = np.random.default_rng(0).normal(size=(60, 4))
    known = AgreementModel((0.0,) * 6, (1.0,) * 6, (0.2, 0, 0, 0, 0, 0), 0.5, 0.12, 460)
    pretrained = copy.deepcopy(made("direct"))
    pretrained.save_pretrained(tmp_path / "bare")
    limits = QualityLimits((0.0, 1.0), (0.0, 1.0), (0.0, 1.0), (0.0, 1.0))
    pretrained.quality = Quality(
        sampling=SamplingConfig(),
        sources=("ph2",),
        cases=1,
        training_images=1,
        split="",
        styles={"any": StyleCalibration(calibration=Calibration((0.5,), (0.5,)))},
        limits=limits,
    )
    pretrained.outliers = fit_detector({"a": features[:40]}, {"a": features[40:]})
    pretrained.agreement = AgreementPredictor(source="a", model=known)
    pretrained.save_pretrained(tmp_path / "calibrated")
    for name in (first, "calibrated", "bare"):
        found, expected = load_graphs(str(tmp_path / name), "onnx"), load_pretrained(tmp_path / name)
        assert found is not None
        assert (found.quality, found.agreement) == (expected.quality, expected.agreement)
        assert [one is None for one in (found.quality, found.outliers, found.agreement)] == [
            name == "bare"
        ] * 3
    assert len(list((tmp_path / "cache").iterdir())) == 1
