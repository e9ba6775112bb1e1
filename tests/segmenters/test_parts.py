"""A segmenter rebuilt from its parts is the same segmenter."""

from collections.abc import Callable

import pytest
import torch

from mlffm_segdiff.config.schema import SamplingConfig
from mlffm_segdiff.data.batch import Batch
from mlffm_segdiff.segmenters.base import BaseSegmenter

Make = Callable[..., BaseSegmenter]
UNET: dict[str, object] = {"name": "unet", "widths": [4, 8, 16], "residual_units": 1}
SECTIONS: dict[str, dict[str, dict[str, object]]] = {
    "diffusion": {},
    "self_conditioning": {"diffusion": {"self_conditioning": True}},
    "styles": {"model": {"name": "mlffm_segdiff", "size": "tiny", "styles": ["isic2018", "ph2"]}},
    "direct": {"model": UNET},
}


@pytest.mark.parametrize("sections", SECTIONS.values(), ids=SECTIONS)
def test_run_on_its_own_parts_it_finds_the_same(
    sections: dict[str, dict[str, object]], trained: Make, batch: Batch
) -> None:
    segmenter = trained(**sections)
    sampling, stride = SamplingConfig(steps=3, samples=2), segmenter.total_stride
    expected = segmenter.segment(batch.image, sampling)
    segmenter.run_on({name: part.module for name, part in segmenter.parts(batch.image).items()})
    found = segmenter.segment(batch.image, sampling)
    assert torch.equal(found.probability, expected.probability)
    assert torch.equal(found.spread, expected.spread)
    assert segmenter.total_stride == stride
    assert list(segmenter.parameters()), "modules among the graphs are the segmenter's own"


@pytest.mark.parametrize("sections", SECTIONS.values(), ids=SECTIONS)
def test_inputs_and_outputs_have_a_name_each_and_the_batch_first(
    sections: dict[str, dict[str, object]], trained: Make, batch: Batch
) -> None:
    for part in trained(**sections).parts(batch.image).values():
        with torch.no_grad():
            outputs = part.module(*part.inputs)
        assert len(part.inputs) == len(set(part.input_names))
        assert len(outputs) == len(set(part.output_names))
        assert {len(x) for x in (*part.inputs, *outputs)} == {len(batch.image)}


def test_the_encoders_outputs_are_the_denoisers_features(trained: Make, batch: Batch) -> None:
    parts = trained().parts(batch.image)
    with torch.no_grad():
        features = parts["encoder"].module(batch.image)
    assert parts["denoiser"].input_names == ("noisy_mask", "t", *parts["encoder"].output_names)
    for feature, given in zip(features, parts["denoiser"].inputs[2:], strict=True):
        assert torch.equal(feature, given)
