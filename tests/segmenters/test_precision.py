import copy
from collections.abc import Callable

import pytest
import torch

from mlffm_segdiff.data.batch import Batch
from mlffm_segdiff.segmenters.base import Sampling, Segmenter
from mlffm_segdiff.segmenters.precision import in_bfloat16

Make = Callable[..., Segmenter]
UNET: dict[str, object] = {"name": "unet", "widths": [4, 8, 16], "residual_units": 1}
SECTIONS: dict[str, dict[str, dict[str, object]]] = {
    "diffusion": {},
    "self_conditioning": {"diffusion": {"self_conditioning": True}},
    "direct": {"model": UNET},
}


@pytest.mark.parametrize("sections", SECTIONS.values(), ids=SECTIONS)
def test_bfloat16_finds_nearly_the_same(
    sections: dict[str, dict[str, object]], trained: Make, batch: Batch
) -> None:
    segmenter = trained(**sections)
    half = in_bfloat16(segmenter, batch.image[:1])
    sampling = Sampling(steps=3, samples=2)
    expected = segmenter.segment(batch.image, batch.ids, sampling)
    found = half.segment(batch.image, batch.ids, sampling)
    assert found.probability.dtype == torch.float32
    assert expected.probability.std() > 0.02
    torch.testing.assert_close(found.probability, expected.probability, rtol=0, atol=0.05)
    assert not torch.equal(found.probability, expected.probability)


@pytest.mark.parametrize("sections", SECTIONS.values(), ids=SECTIONS)
def test_the_network_alone_is_in_bfloat16_and_the_given_one_is_left_alone(
    sections: dict[str, dict[str, object]], trained: Make, batch: Batch
) -> None:
    segmenter = trained(**sections)
    before = copy.deepcopy(segmenter.state_dict())
    half = in_bfloat16(segmenter, batch.image[:1])
    assert {p.dtype for p in half.parameters()} == {torch.bfloat16}
    assert all(value.dtype == torch.float32 for name, value in half.named_buffers() if name == "alpha_bar")
    assert not half.training
    assert {name: value.dtype for name, value in segmenter.state_dict().items()} == {
        name: value.dtype for name, value in before.items()
    }
    assert all(torch.equal(value, before[name]) for name, value in segmenter.state_dict().items())
