"""What every model of the table must do; a new one is added by its lines there, here and in small_models.py.

A name is a model's, or that of a recipe which gives a model another encoder. FIGURES: parameters, and
floating-point operations of one segmentation at 128 x 128, of the recipe of that name.
"""

import copy
from pathlib import Path

import pytest
import torch
from small_models import SIDE, SMALL, is_denoiser, made, small_recipe
from torch import Tensor

from mlffm_segdiff.data.batch import Batch, collate
from mlffm_segdiff.data.dataset import PairDataset
from mlffm_segdiff.data.synthetic import synthetic_pairs
from mlffm_segdiff.inference.model import ready_to_segment
from mlffm_segdiff.models.registry import MODELS
from mlffm_segdiff.segmenters.base import BaseSegmenter
from mlffm_segdiff.segmenters.cost import count_cost, model_recipe
from mlffm_segdiff.segmenters.model_list import ListedModel, packaged_models
from mlffm_segdiff.segmenters.precision import in_bfloat16
from mlffm_segdiff.segmenters.pretrained import load_pretrained, save_segmenter
from mlffm_segdiff.segmenters.sampling import chosen_sampling

FIGURES: dict[str, tuple[int, int]] = {
    "mlffm_segdiff": (7_727_869, 875_119_424),
    "dermosegdiff": (321_181_377, 261_881_411_731_456),
    "segdiff": (162_766_017, 150_732_547_817_472),
    "medsegdiff": (99_102_849, 415_772_293_726_208),
    "diffusion_unet": (35_745_153, 183_938_580_480),
    "single_path": (3_290_596, 1_125_854_208),
    "mlffm_unet": (5_253_941, 1_279_451_840),
    "unet": (4_974_032, 1_156_808_704),
    "attention_unet": (7_940_321, 5_298_388_992),
    "unetpp": (9_119_332, 16_373_514_240),
    "nnunet": (20_612_164, 28_504_489_984),
    "swin_unetr": (6_302_875, 2_398_868_352),
    "unetr": (87_561_457, 12_710_313_984),
    "transunet": (105_275_921, 18_723_864_576),
    "fcn": (134_273_891, 13_847_824_896),
    "fpn": (28_476_353, 5_497_421_824),
    "mlffm_unet_lite0": (4_363_316, 1_020_853_888),
    "unet_lite0": (4_207_009, 961_321_984),
    "unetpp_lite0": (4_937_220, 2_859_375_616),
    "fpn_lite0": (7_071_105, 2_838_338_560),
}
IDS = ["a", "b", "c"]


@pytest.fixture(scope="module", params=list(FIGURES))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def segmenter(name: str) -> BaseSegmenter:
    return made(name)


@pytest.fixture(scope="module")
def batch() -> Batch:
    ids, images, masks = synthetic_pairs(len(IDS), SIDE, seed=0)
    pairs = PairDataset(images, masks, ids, None, seed=0)
    return collate([pairs[index] for index in range(len(IDS))])


def probability(segmenter: BaseSegmenter, name: str, image: Tensor, steps: int | None = None) -> Tensor:
    chosen = {"steps": steps} if steps and is_denoiser(name) else {}
    return segmenter.segment(image, chosen_sampling(small_recipe(name), chosen)).probability


@pytest.mark.parametrize("side", [64, 96, 128])
def test_an_image_becomes_a_map_of_its_size(segmenter: BaseSegmenter, name: str, side: int) -> None:
    assert side % segmenter.total_stride == 0
    sampling = chosen_sampling(small_recipe(name), {"steps": 1} if is_denoiser(name) else {})
    found = segmenter.segment(torch.rand(1, 3, side, side) * 2 - 1, sampling)
    assert found.probability.shape == found.spread.shape == (1, 1, side, side)
    assert found.probability.isfinite().all()
    assert 0 <= float(found.probability.min()) < float(found.probability.max()) <= 1


def test_gradients_reach_every_parameter(segmenter: BaseSegmenter, batch: Batch) -> None:
    learner = copy.deepcopy(segmenter).train()
    loss = learner.loss(batch)
    loss.backward()
    assert loss.isfinite()
    idle = [n for n, p in learner.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == []
    assert all(p.grad is not None and p.grad.isfinite().all() for p in learner.parameters())


def test_weights_come_back_as_they_were(
    segmenter: BaseSegmenter, name: str, batch: Batch, tmp_path: Path
) -> None:
    save_segmenter(segmenter, small_recipe(name), tmp_path)
    again = load_pretrained(tmp_path)
    assert again.recipe == small_recipe(name)
    expected = probability(segmenter, name, batch.image[:1])
    assert torch.equal(probability(again.segmenter, name, batch.image[:1]), expected)


def test_a_case_does_not_depend_on_its_batch(segmenter: BaseSegmenter, name: str, batch: Batch) -> None:
    """Ten steps, since in fewer steps the estimates of a random network magnify rounding errors."""
    together = probability(segmenter, name, batch.image, steps=10)
    for rows in ([0], [2, 1]):
        few = probability(segmenter, name, batch.image[rows], steps=10)
        torch.testing.assert_close(few, together[rows], rtol=0, atol=1e-4)


def test_images_are_distinguished(segmenter: BaseSegmenter, name: str, batch: Batch) -> None:
    one, other = (probability(segmenter, name, batch.image[n : n + 1]) for n in (0, 1))
    assert float((one - other).abs().max()) > 1e-4


def test_the_seed_fixes_weights_loss_and_masks(segmenter: BaseSegmenter, name: str, batch: Batch) -> None:
    twin = made(name)
    assert all(torch.equal(value, twin.state_dict()[n]) for n, value in segmenter.state_dict().items())
    losses = []
    for each in (segmenter, twin):
        torch.manual_seed(1)
        losses.append(each.loss(batch).item())
    assert losses[0] == losses[1]
    maps = [probability(each, name, batch.image[:1]) for each in (segmenter, segmenter, twin)]
    assert torch.equal(maps[0], maps[1])
    assert torch.equal(maps[0], maps[2])


def test_the_network_prepared_for_inference_computes_the_same(
    segmenter: BaseSegmenter, name: str, batch: Batch
) -> None:
    segmenter = copy.deepcopy(segmenter).eval()
    for value in (*segmenter.parameters(), *segmenter.buffers()):
        if value.is_floating_point():  # away from where batch norms and others start
            value.data.mul_(1 + 0.1 * torch.rand_like(value))
    sampling = chosen_sampling(small_recipe(name), {})
    ready = ready_to_segment(segmenter, batch.image[:1], sampling, "float32")
    found, expected = (probability(one, name, batch.image) for one in (ready, segmenter))
    assert expected.std() > 1e-4
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-3)  # several steps amplify rounding


def test_the_parts_make_up_the_network(segmenter: BaseSegmenter, name: str, batch: Batch) -> None:
    """These are what is exported; the export itself is tested in tests/export."""
    parts = segmenter.parts(batch.image[:2])
    for part in parts.values():
        outputs = part.module(*part.inputs)
        assert len(outputs) == len(part.output_names)
        assert len(part.inputs) == len(part.input_names)
        assert {len(tensor) for tensor in (*part.inputs, *outputs)} == {2}
    rebuilt = copy.deepcopy(segmenter)
    rebuilt.run_on({key: part.module for key, part in parts.items()})
    assert rebuilt.total_stride == segmenter.total_stride
    expected = probability(segmenter, name, batch.image[:1])
    assert torch.equal(probability(rebuilt, name, batch.image[:1]), expected)


def test_the_network_runs_in_bfloat16(segmenter: BaseSegmenter, name: str, batch: Batch) -> None:
    image = batch.image[:1]
    half = in_bfloat16(segmenter, image)
    assert probability(half, name, image).isfinite().all()
    with torch.no_grad():
        for key, part in segmenter.parts(image).items():
            exact = torch.cat([output.flatten() for output in part.module(*part.inputs)])
            graph = half.parts(image)[key].module
            rounded = torch.cat([output.flatten() for output in graph(*part.inputs)])
            assert rounded.dtype == torch.bfloat16
            assert float((rounded.float() - exact).abs().mean()) < 0.1 * float(exact.std())


def test_parameters_and_cost_are_those_pinned(name: str) -> None:
    found = count_cost(model_recipe(name))
    assert (found.parameters, found.flops) == FIGURES[name]
    if name in MODELS:
        assert packaged_models()[name] == ListedModel(found, MODELS[name].citation), (
            "run tools/count_models.py"
        )


def test_only_models_are_pinned() -> None:
    assert {model_recipe(name).model.name for name in FIGURES} == set(MODELS)
    assert list(MODELS) == list(packaged_models())
    assert set(MODELS) <= set(FIGURES) == set(SMALL)
