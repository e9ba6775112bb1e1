import numpy as np
import pytest
import torch

from mlffm_segdiff.config.schema import SamplingConfig
from mlffm_segdiff.segmenters.assembly import build_segmenter
from mlffm_segdiff.segmenters.base import BaseSegmenter
from mlffm_segdiff.segmenters.recipe import load_recipe
from mlffm_segdiff.study.fusion_weights import fusion_steps

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)


def segmenter(*overrides: str) -> BaseSegmenter:
    given = ["data.size=32", *overrides]
    return build_segmenter(load_recipe("synthetic", given)).eval()


def test_each_step_has_weights_by_level_that_sum_to_1() -> None:
    found = fusion_steps(segmenter("model.size=tiny"), IMAGES, SamplingConfig(steps=4, samples=3))
    assert [step.time for step in found] == [999, 749, 499, 249]  # of 1000, evenly spaced, as DDIM takes them
    for step in found:
        assert [level.shape for level in step.weights] == [(2, 2, 8, 8), (2, 2, 4, 4)]
        for level in step.weights:
            np.testing.assert_allclose(level.sum(axis=1), 1, atol=1e-5)


def test_fusion_weights_are_the_softmax_of_the_blocks_own_layers() -> None:
    """With weighing layers of zero weights, lambda is the softmax of their biases."""
    model = segmenter("model.size=tiny")
    for layer in model.network.fusion.weights.weigh:
        torch.nn.init.zeros_(layer.weight)
        layer.bias.data = torch.tensor([1.0, 3.0]).log()
    (step,) = fusion_steps(model, IMAGES, SamplingConfig(steps=1))
    for level in step.weights:
        np.testing.assert_allclose(level[:, 0], 0.25, atol=1e-6)
        np.testing.assert_allclose(level[:, 1], 0.75, atol=1e-6)


@pytest.mark.parametrize("override", ["model.adaptive=false", "model.fusion_width=null", "model.name=unet"])
def test_without_adaptive_weights_or_time_there_are_none(override: str) -> None:
    own = (override,) if override == "model.name=unet" else ("model.size=tiny", override)
    if override == "model.name=unet":
        model = build_segmenter(load_recipe("unet", ["data.size=32"])).eval()
    else:
        model = segmenter(*own)
    assert fusion_steps(model, IMAGES, SamplingConfig(steps=1)) == []


def test_mirror_images_add_no_steps() -> None:
    found = fusion_steps(segmenter("model.size=tiny"), IMAGES, SamplingConfig(steps=2, mirror=True))
    assert [step.time for step in found] == [999, 499]


def test_reading_fusion_weights_leaves_the_model_as_it_was() -> None:
    model = segmenter("model.size=tiny")
    fusion_steps(model, IMAGES, SamplingConfig(steps=1))
    assert not any(module._forward_hooks for module in model.modules())
