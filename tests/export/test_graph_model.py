import re
from collections.abc import Callable
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
import torch

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.schema import SamplingConfig
from mlffm_segdiff.export import graph_cache
from mlffm_segdiff.export.folder import write_export
from mlffm_segdiff.export.graph_model import GraphModel, load_graph_model
from mlffm_segdiff.export.manifest import FormatName, read_manifest
from mlffm_segdiff.metrics.human_agreement import AgreementModel
from mlffm_segdiff.segmenters.agreement import AGREEMENT, AgreementPredictor
from mlffm_segdiff.segmenters.base import segment_batch
from mlffm_segdiff.segmenters.outliers import OUTLIERS, fit_detector
from mlffm_segdiff.segmenters.pretrained import Pretrained, load_pretrained, save_segmenter
from mlffm_segdiff.segmenters.saved_weights import weights_digest

Made = Callable[[str], Pretrained]
Exported = Callable[[str, FormatName], Path]
PIXELS = list(np.random.default_rng(1).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8))


def found_by(model: GraphModel | None) -> np.ndarray:
    assert model is not None
    return np.stack([one.probability for one in model.segment(PIXELS)])


def test_an_exported_folder_segments_as_torch_does(made: Made, exported: Exported) -> None:
    folder = exported("styles", "onnx")
    model = load_graph_model(str(folder), None, 1)
    assert model is not None
    assert (model.size, model.sampling, model.threads) == (32, SamplingConfig(), 1)
    segmenter = made("styles").segmenter
    expected = segment_batch(segmenter, np.stack(PIXELS), SamplingConfig(), torch.device("cpu"))
    np.testing.assert_allclose(found_by(model), expected.probability[:, 0], rtol=0, atol=1e-5)
    outputs = model.segment(PIXELS)
    assert expected.features is not None
    features = [one.features for one in outputs if one.features is not None]
    np.testing.assert_allclose(np.stack(features), expected.features, rtol=0, atol=1e-4)
    assert [one.spread.any() or one.samples is not None for one in outputs] == [False] * 3
    assert model.segment([]) == []


def test_a_network_without_feature_maps_has_no_features(exported: Exported) -> None:
    model = load_graph_model(str(exported("direct", "onnx")), None, 1)
    assert model is not None
    assert [one.features for one in model.segment(PIXELS)] == [None] * 3


def test_what_goes_with_the_weights_is_found_next_to_them_and_in_exported_folders(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFFM_SEGDIFF_CACHE", str(tmp_path / "cache"))
    weights, pretrained = tmp_path / "weights", made("styles")
    save_segmenter(pretrained.segmenter, pretrained.recipe, weights)
    features = np.random.default_rng(0).normal(size=(60, 4))
    detector = fit_detector({"a": features[:40]}, {"a": features[40:]})
    assert detector is not None
    known = AgreementModel((0.0,) * 6, (1.0,) * 6, (0.2, 0, 0, 0, 0, 0), 0.5, 0.12, 460)
    OUTLIERS.write(detector, weights, weights_digest(weights / "model.safetensors"))
    AGREEMENT.write(AgreementPredictor(source="a", model=known), weights)
    from_weights = load_graph_model(str(weights), "onnx", 1)
    write_export(load_pretrained(weights), "onnx", tmp_path / "exported")
    from_folder = load_graph_model(str(tmp_path / "exported"), None, 1)
    for model in (from_weights, from_folder):
        assert model is not None
        assert model.outliers is not None
        assert model.outliers.sets == detector.sets
        assert model.agreement is None  # it is of other weights


def test_what_has_no_such_graph_is_left_to_torch(exported: Exported, tmp_path: Path) -> None:
    assert load_graph_model("default", None, 1) is None
    assert load_graph_model("default", "torch", 1) is None
    assert load_graph_model(str(exported("direct", "onnx")), "openvino", 1) is None
    assert load_graph_model(str(exported("direct", "openvino")), None, 1) is None
    folder = Path(copytree(exported("direct", "onnx"), tmp_path / "copy"))
    described = (folder / "export.json").read_text()
    assert '"samples": 0' in described
    (folder / "export.json").write_text(described.replace('"samples": 0', '"samples": 2'))
    assert load_graph_model(str(folder), None, 1) is None


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"junk")])
def test_another_graph_than_the_exported_one_is_refused(
    damage: Callable[[Path], object], exported: Exported, tmp_path: Path
) -> None:
    folder = Path(copytree(exported("direct", "onnx"), tmp_path / "copy"))
    damage(folder / "segmenter.onnx")
    with pytest.raises(UserError, match=r"segmenter\.onnx is missing, or not the file.*; export again"):
        load_graph_model(str(folder), None, 1)


def test_a_graph_is_made_once_for_weights_and_again_if_it_is_damaged(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFFM_SEGDIFF_CACHE", str(tmp_path / "cache"))
    weights, pretrained = tmp_path / "weights", made("direct")
    save_segmenter(pretrained.segmenter, pretrained.recipe, weights)
    shown: list[str] = []

    def show(label: str) -> torch.no_grad:
        shown.append(label)
        return torch.no_grad()  # any context manager

    first = found_by(load_graph_model(str(weights), "onnx", 1, show))
    assert len(shown) == 1
    write = graph_cache.write_export
    monkeypatch.setattr(graph_cache, "write_export", None)
    np.testing.assert_array_equal(found_by(load_graph_model(str(weights), "onnx", 1, show)), first)
    assert len(shown) == 1
    monkeypatch.setattr(graph_cache, "write_export", write)
    (folder,) = (tmp_path / "cache").iterdir()
    (folder / "segmenter.onnx").write_bytes(b"cut off")
    np.testing.assert_array_equal(found_by(load_graph_model(str(weights), "onnx", 1, show)), first)
    assert len(shown) == 2
    assert read_manifest(folder).whole is not None


@pytest.mark.parametrize("name", ["quality.json", "outliers.safetensors", "agreement.json"])
def test_a_damaged_file_next_to_the_weights_is_an_error_that_keeps_the_graph(
    name: str, made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFFM_SEGDIFF_CACHE", str(tmp_path / "cache"))
    weights, pretrained = tmp_path / "weights", made("direct")
    save_segmenter(pretrained.segmenter, pretrained.recipe, weights)
    first = found_by(load_graph_model(str(weights), "onnx", 1))
    monkeypatch.setattr(graph_cache, "write_export", None)
    (weights / name).write_text("{")
    with pytest.raises(UserError, match=re.escape(name)):
        load_graph_model(str(weights), "onnx", 1)
    (weights / name).unlink()
    np.testing.assert_array_equal(found_by(load_graph_model(str(weights), "onnx", 1)), first)
