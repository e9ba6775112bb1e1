from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mlffm_segdiff.config.schema import SamplingConfig
from mlffm_segdiff.data.sources import load_split_cases, open_split
from mlffm_segdiff.evaluation.outliers import calibrate_outliers, image_features
from mlffm_segdiff.evaluation.pipeline import EvaluatedModel
from mlffm_segdiff.segmenters.assembly import build_segmenter, checked_sampling
from mlffm_segdiff.segmenters.base import segment_batch
from mlffm_segdiff.segmenters.pretrained import load_pretrained, save_segmenter
from mlffm_segdiff.segmenters.recipe import load_recipe


@pytest.fixture
def evaluated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EvaluatedModel:
    """Untrained weights in ``tmp_path``, with 60 synthetic images."""
    monkeypatch.setenv("MLFFM_SEGDIFF_CACHE", str(tmp_path / "cache"))
    recipe = load_recipe("synthetic", ["model.size=tiny", "data.size=32", "data.synthetic_count=60"])
    torch.manual_seed(0)
    segmenter, parts = build_segmenter(recipe).eval(), load_split_cases(recipe.data)
    save_segmenter(segmenter, recipe, tmp_path / "weights")
    sampling, cpu = checked_sampling(recipe.sampling), torch.device("cpu")
    return EvaluatedModel(recipe, parts, "val", sampling, segmenter, cpu)


def test_the_detector_of_a_model_knows_its_own_images(evaluated: EvaluatedModel, tmp_path: Path) -> None:
    path = calibrate_outliers(evaluated, tmp_path / "weights")
    assert path == tmp_path / "weights" / "outliers.safetensors"
    pretrained = load_pretrained(tmp_path / "weights")
    detector, cases = pretrained.outliers, evaluated.parts.cases
    assert detector is not None
    (found,) = detector.sets.items()
    assert found[0] == "synthetic"
    assert (found[1].training, found[1].cross_fitted) == (len(cases["train"]), True)
    assert found[1].cases == len(cases["train"]) + len(cases["val"])

    usual = np.asarray(open_split(evaluated.parts, "test", 32).images)
    stripes = np.zeros_like(usual)
    stripes[:, ::2, :, 1] = 255
    flagged = []
    for images in (usual, stripes):
        features = segment_batch(pretrained.segmenter, images, SamplingConfig(), torch.device("cpu")).features
        assert features is not None
        flagged.append(np.mean([detector.score(one.numpy()).flagged for one in features]))
    assert flagged[0] < 0.3
    assert flagged[1] == 1


def test_a_network_without_feature_maps_describes_no_image() -> None:
    recipe = load_recipe("unet", ["data.size=32", "model.widths=[4,8]"])
    segmenter = build_segmenter(recipe).eval()
    images = np.zeros((2, 32, 32, 3), np.uint8)
    assert image_features(segmenter, images, np.arange(2), torch.device("cpu")) is None


def test_images_are_described_by_the_evaluated_segmenter(evaluated: EvaluatedModel, tmp_path: Path) -> None:
    """Not by weights read again: those in the folder have features, the given network has none."""
    other = build_segmenter(load_recipe("unet", ["data.size=32", "model.widths=[4,8]"])).eval()
    assert calibrate_outliers(replace(evaluated, segmenter=other), tmp_path / "weights") is None
