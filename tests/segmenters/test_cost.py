from functools import partial

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mlffm_segdiff.config.schema import Recipe
from mlffm_segdiff.segmenters.assembly import build_segmenter, checked_sampling
from mlffm_segdiff.segmenters.cost import ModelCost, build_on_meta, count_cost, count_flops, model_recipe
from mlffm_segdiff.segmenters.recipe import check_recipe, load_recipe

SMALL = (
    {"name": "mlffm_segdiff", "size": "tiny"},
    {"name": "unet", "widths": [4, 8]},
    {"name": "swin_unetr", "feature_size": 12},
)


def recipe(model: dict[str, object], **sampling: int) -> Recipe:
    return check_recipe(
        {"name": "x", "data": {"sources": {"synthetic": None}}, "model": model, "sampling": sampling}, "here"
    )


def test_flops_by_hand() -> None:
    image = torch.zeros(1, 3, 16, 20)
    assert count_flops(partial(nn.Conv2d(3, 8, 3, padding=1), image)) == 2 * 16 * 20 * 8 * 3 * 9
    assert count_flops(partial(nn.Conv2d(3, 8, 2, stride=2), image)) == 2 * 8 * 10 * 8 * 3 * 4
    assert count_flops(partial(nn.Linear(20, 7), image)) == 2 * 3 * 16 * 20 * 7
    assert count_flops(partial(nn.SiLU(), image)) == 0


@pytest.mark.parametrize(
    ("model", "samples"), [*((model, 0) for model in SMALL), (SMALL[0], 1), (SMALL[0], 3)]
)
@pytest.mark.parametrize("mirror", [True, False])
def test_as_many_parameters_and_operations_as_a_real_segmentation(
    model: dict[str, object], samples: int, mirror: bool
) -> None:
    chosen = recipe(model, steps=4, samples=samples, mirror=mirror)
    segmenter = build_segmenter(chosen).eval()
    with FlopCounterMode(display=False) as counter:
        segmenter.segment(torch.zeros(1, 3, 128, 128), checked_sampling(chosen.sampling))
    found = count_cost(chosen)
    assert found.parameters == sum(p.numel() for p in segmenter.parameters())
    assert found.flops == counter.get_total_flops() > 0
    mirrors = 4 if mirror else 1
    assert (found.steps, found.samples) == ((4, mirrors * samples) if samples else (1, mirrors))


@pytest.mark.parametrize("model", SMALL[:2])
def test_one_pass_is_one_step_for_any_recipe(model: dict[str, object]) -> None:
    chosen = recipe(model)
    assert chosen.sampling.steps == 4
    found = count_cost(chosen)
    assert found == ModelCost(found.parameters, found.flops, 1, 1)


@pytest.mark.parametrize("model", SMALL)
def test_a_hollow_segmenter_has_the_shapes_and_no_memory(model: dict[str, object]) -> None:
    hollow, real = (build(recipe(model)).state_dict() for build in (build_on_meta, build_segmenter))
    assert {name: value.shape for name, value in hollow.items()} == {n: v.shape for n, v in real.items()}
    assert {value.device.type for value in hollow.values()} == {"meta"}


def test_the_recipe_of_a_model_is_the_packaged_one_or_the_defaults() -> None:
    assert model_recipe("dermosegdiff").diffusion.train_steps == 250
    ours = model_recipe("mlffm_segdiff")
    assert (ours.name, ours.model.name, ours.sampling.steps) == ("mlffm_segdiff", "mlffm_segdiff", 4)


@pytest.mark.parametrize("name", ["dermosegdiff", "segdiff", "medsegdiff", "diffusion_unet"])
def test_a_narrow_recipe_is_the_full_one_with_fewer_channels(name: str) -> None:
    narrow, full = load_recipe(f"{name}_narrow"), load_recipe(name)
    assert (narrow.diffusion, narrow.loss, narrow.augment, narrow.data) == (
        full.diffusion,
        full.loss,
        full.augment,
        full.data,
    )
    common = load_recipe("isic2018").train
    assert narrow.train.model_copy(update={"validate_every": common.validate_every}) == common
    segmenter = build_on_meta(narrow)
    kinds = [{type(module) for module in built.modules()} for built in (segmenter, build_on_meta(full))]
    assert kinds[0] == kinds[1]
    assert segmenter.total_stride == build_on_meta(full).total_stride
    step = segmenter.parts(torch.zeros(1, 3, 128, 128, device="meta"))["denoiser"]
    assert 2e9 < count_flops(partial(step.module, *step.inputs)) < 4e9
