import re
from itertools import pairwise
from typing import Any

import pytest
from pydantic import ValidationError

from mlffm_segdiff.config.conditions import NEEDS
from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.schema import DataConfig, Recipe, TrainConfig
from mlffm_segdiff.models.mlffm_segdiff import SIZES, MLFFMSegDiffConfig
from mlffm_segdiff.segmenters.assembly import build_process
from mlffm_segdiff.segmenters.cost import count_cost
from mlffm_segdiff.segmenters.recipe import check_recipe


def recipe(**model: object) -> Recipe:
    values = {
        "name": "x",
        "data": {"sources": {"synthetic": None}},
        "model": {"name": "mlffm_segdiff", **model},
    }
    return check_recipe(values, "here")


@pytest.mark.parametrize("size", SIZES)
def test_a_size_fills_in_what_is_not_given(size: str) -> None:
    model = recipe(size=size, fusion_width=None).model
    assert isinstance(model, MLFFMSegDiffConfig)
    assert model.mask_widths == SIZES[size]["mask_widths"]
    assert model.encoder == SIZES[size]["encoder"]
    assert model.encoder_widths == SIZES[size].get("encoder_widths", ())
    assert model.fusion_width is None
    assert recipe(size=size).model.model_dump()["fusion_width"] == SIZES[size]["fusion_width"]


def test_sizes_grow() -> None:
    tiny, small, base = (SIZES[size] for size in ("tiny", "small", "base"))
    for key in ("detail_width", "fusion_width"):
        assert tiny[key] < small[key] < base[key]
    assert sum(tiny["mask_widths"]) < sum(small["mask_widths"]) < sum(base["mask_widths"])
    figures = [count_cost(recipe(size=size)) for size in ("tiny", "small", "base")]
    for one, larger in pairwise(figures):
        assert one.parameters < larger.parameters
        assert one.flops < larger.flops


def test_another_encoder_leaves_the_widths_of_the_sizes_own_out() -> None:
    model = recipe(size="tiny", encoder="efficientnet_lite0").model
    assert isinstance(model, MLFFMSegDiffConfig)
    assert (model.encoder, model.encoder_widths, model.encoder_blocks) == ("efficientnet_lite0", (), ())
    assert model.mask_widths == SIZES["tiny"]["mask_widths"]
    given = {"encoder_widths": (4, 8), "encoder_blocks": (1, 1), "mask_widths": (4,)}
    scratch = recipe(size="small", encoder="scratch", **given).model
    assert {key: getattr(scratch, key) for key in given} == given


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"encoder": "efficientnet_lite0", "encoder_widths": (4, 8)}, "are for encoder scratch, not"),
        ({"size": "small", "encoder": "scratch"}, "one entry for each level"),
        (
            {"encoder": "scratch", "encoder_widths": (4, 8), "encoder_blocks": (1,)},
            "one entry for each level",
        ),
        ({"mask_widths": (4,) * 6}, "more levels than the encoder; give it 5 or fewer"),
    ],
)
def test_encoders_and_widths_that_do_not_go_together_are_refused(keys: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        recipe(**keys)


def test_defaults_pass_their_own_checks_and_suit_each_other() -> None:
    found = recipe()
    assert check_recipe(found.model_dump(), "here") == found
    assert found.sampling.steps <= found.diffusion.train_steps
    assert found.diffusion.beta_start < found.diffusion.beta_end
    assert found.train.warmup < found.train.images
    assert found.train.batch_size <= found.train.validate_every <= found.train.images
    assert found.data.size % 32 == 0  # the coarsest stride of EfficientNet
    assert 0 < found.train.ema_decay < 1


def test_a_recipe_cannot_be_changed_in_place() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        TrainConfig().images = 3


def test_sgd_refuses_a_warmup_that_would_not_take_place() -> None:
    with pytest.raises(ValidationError, match=r"sgd has no warm-up; set train\.warmup=0"):
        TrainConfig(optimizer="sgd")
    assert TrainConfig(optimizer="sgd", warmup=0).optimizer == "sgd"


def data(mix: dict[str, float] | None) -> dict[str, Any]:
    return {"sources": {"isic2018": None, "ph2": None}, "mix": mix}


@pytest.mark.parametrize(
    ("mix", "says"),
    [
        ({"isic2018": 1.0}, "mix needs a share for each of isic2018, ph2, and no other"),
        ({}, "mix needs a share for each of isic2018, ph2, and no other"),
        ({"isic2018": 0.5, "ph2": 0.25, "ham10000": 0.25}, "for each of isic2018, ph2, and no other"),
        ({"isic2018": 0.5, "ph2": 0.4}, "the shares of mix sum to 0.9; make them sum to 1"),
        ({"isic2018": 1.0, "ph2": 1.0}, "the shares of mix sum to 2; make them sum to 1"),
        ({"isic2018": -0.5, "ph2": 1.5}, "greater than or equal to 0"),
        ({"isic2018": 0.0, "ph2": 1.5}, "less than or equal to 1"),
    ],
)
def test_a_mix_that_does_not_divide_the_sources_is_refused(mix: dict[str, float], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        DataConfig.model_validate(data(mix))


@pytest.mark.parametrize(
    "mix",
    [None, {"isic2018": 1.0, "ph2": 0.0}, {"isic2018": 1 / 3, "ph2": 2 / 3}, {"ph2": 0.3, "isic2018": 0.7}],
)
def test_a_mix_of_all_the_sources_is_taken(mix: dict[str, float] | None) -> None:
    assert DataConfig.model_validate(data(mix)).mix == mix


@pytest.mark.parametrize(("share", "fits"), [(0.0, True), (0.001, True), (0.0004, False), (1e-9, False)])
def test_a_share_too_small_to_be_drawn_is_refused(share: float, fits: bool) -> None:
    values = data({"isic2018": 1 - share, "ph2": share})
    if fits:
        assert DataConfig.model_validate(values).mix is not None
        return
    says = r"mix draws in steps of 0\.001, so ph2=.* would never be drawn; give it 0, or 0\.001 or more"
    with pytest.raises(ValidationError, match=says):
        DataConfig.model_validate(values)


EPSILON = {"objective": "epsilon", "training": "single"}


@pytest.mark.parametrize("sections", [{"sampling": {"samples": True}}, {"train": {"batch_size": False}}])
def test_true_and_false_are_no_numbers(sections: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"(samples=true|batch_size=false) is neither a number nor a name"):
        recipe_of(sections)


def test_a_logger_named_twice_is_one() -> None:
    assert recipe_of({"train": {"logger": ["csv", "CSV", "tensorboard"]}}).train.logger == (
        "csv",
        "tensorboard",
    )


def test_no_encoder_weights_are_needed_beside_others() -> None:
    assert recipe_of({"train": {"init": "default", "encoder_init": None}}).train.encoder_init is None


@pytest.mark.parametrize("key", ["widening", "logit_spread"])
def test_samples_spread_by_few_logits_only(key: str) -> None:
    with pytest.raises(UserError, match=rf"sampling\.{key}"):
        recipe_of({"sampling": {"samples": 2, key: 1e30}})


@pytest.mark.parametrize(
    ("sections", "says"),
    [
        (
            {"diffusion": {"training": "recycling", "noisy_share": 0.25}},
            r"share=0\.25 has no effect without diffusion\.training=dual; leave out diffusion\.noisy_share$",
        ),
        ({"diffusion": {"training": "single", "noisy_weight": 2}}, "noisy_weight=2.0 has no effect"),
        ({"diffusion": {"recycling_shift": 1}}, r"without diffusion\.training=recycling"),
        ({"diffusion": {"beta_end": 0.01}}, r"beta_end=0\.01 .* without diffusion\.schedule=linear"),
        ({"sampling": {"steps": 8}}, r"sampling\.steps=8 .* without sampling\.samples>0"),
        ({"sampling": {"sampler": "ddpm"}}, r"sampling\.sampler=ddpm .* without sampling\.samples>0"),
        (
            {"diffusion": EPSILON, "sampling": {"samples": 1, "widening": 2}},
            r"sampling\.widening=2\.0 has no effect without diffusion\.objective=x0",
        ),
        (
            {"diffusion": EPSILON, "sampling": {"samples": 1}, "loss": {"dice": 0}},
            r"loss\.dice=0\.0 has no effect without diffusion\.objective=x0",
        ),
        ({"loss": {"weight": "none", "band_gain": 1}}, r"loss\.band_gain=1\.0 .* without loss\.weight=band"),
        ({"loss": {"dermosegdiff_gamma": 1}}, r"without loss\.weight=dermosegdiff"),
        ({"loss": {"cross_entropy": 0, "band_gain": 1}}, r"band_gain=1\.0 .* without loss\.cross_entropy>0"),
        (
            {"loss": {"cross_entropy": 0, "weight": "dermosegdiff"}},
            r"loss\.weight=dermosegdiff .* without loss\.cross_entropy>0",
        ),
        (
            {"train": {"init": "default", "encoder_init": "own.safetensors"}},
            r"encoder_init=own\.safetensors has no effect without train\.init=null; leave out",
        ),
        (
            {"diffusion": {"noisy_share": 0, "noisy_weight": 2}},
            r"noisy_weight=2\.0 has no effect without diffusion\.noisy_share>0",
        ),
        (
            {"model": {"name": "mlffm_segdiff", "size": "tiny", "fusion_width": None, "adaptive": False}},
            r"model\.adaptive has no effect without an MLFFM.*; leave out model\.adaptive$",
        ),
        (
            {"loss": {"weight": "band", "band_gain": 0, "band_width": 4}},
            r"band_width=4.* has no effect without loss\.band_gain>0",
        ),
        ({"model": {"name": "single_path", "attention": False}}, r"model\.attention has no effect without"),
        ({"loss": {"dice": 0, "batch_dice": True}}, r"loss\.batch_dice=True .* without loss\.dice>0"),
        (
            {"diffusion": {"noisy_share": 0, "noisy_bias": 2}},
            r"noisy_bias=2\.0 has no effect without diffusion\.noisy_share>0",
        ),
        (
            {"model": {"name": "mlffm_segdiff", "mask_widths": [8] * 5, "detail_width": 9}},
            r"detail_width has no effect with a mask path of all levels; leave it out",
        ),
    ],
)
def test_a_changed_option_without_effect_is_refused(sections: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        recipe_of(sections)


@pytest.mark.parametrize(
    "sections",
    [
        {"diffusion": {"noisy_share": 0.25, "noisy_weight": 2}},
        {"diffusion": {"training": "recycling", "recycling_shift": 1}},
        {"diffusion": {"training": "recycling", "noisy_share": 0.5}},  # as it is by default
        {"diffusion": {"schedule": "linear", "beta_end": 0.01}},
        {"sampling": {"samples": 1, "steps": 7, "sampler": "ddpm"}},
        {"sampling": {"widening": 2}},
        {"train": {"encoder_init": None}},
        {"model": {"name": "mlffm_segdiff", "size": "tiny", "adaptive": False}},
        {"model": {"name": "mlffm_segdiff", "size": "tiny", "fusion_width": None, "adaptive": True}},
        {"loss": {"weight": "dermosegdiff", "dermosegdiff_gamma": 1}},
        {"diffusion": {"training": "recycling", "noisy_bias": 2}},
        {"model": {"name": "mlffm_segdiff", "mask_widths": [8] * 4, "detail_width": 9}},
    ],
)
def test_an_option_with_an_effect_is_taken(sections: dict[str, Any]) -> None:
    found = recipe_of(sections)
    assert check_recipe(found.model_dump(mode="json"), "here") == found


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (
            {"train_steps": 20_000},
            r"no signal is left in float32; set a lower beta_end, or fewer train_steps",
        ),
        ({"beta_start": 0.2, "beta_end": 0.1}, r"beta_start=0\.2 is above beta_end=0\.1; swap them"),
        ({"beta_start": 1e-9}, r"beta_start.*greater than or equal to 0\.000001"),
        ({"beta_end": 1 - 1e-9}, r"beta_end.*less than or equal to 0\.999"),
    ],
)
def test_a_linear_schedule_that_float32_cannot_compute_is_refused(
    values: dict[str, float], says: str
) -> None:
    with pytest.raises(UserError, match=says):
        recipe_of({"diffusion": {"schedule": "linear", **values}})


@pytest.mark.parametrize(
    ("steps", "last"), [(1, 0.02), (1000, 0.02), (8000, 0.02), (100_000, 0.0016), (12, 0.999), (24, 0.999)]
)
def test_an_accepted_linear_schedule_has_signal_and_noise_at_each_timestep(steps: int, last: float) -> None:
    taken = recipe_of({"diffusion": {"schedule": "linear", "train_steps": steps, "beta_end": last}})
    share = build_process(taken.diffusion).alpha_bar
    assert 0 < float(share.min()) <= float(share.max()) < 1


def recipe_of(sections: dict[str, Any]) -> Recipe:
    return check_recipe({**recipe().model_dump(), **sections}, "here")


def test_every_option_and_what_it_needs_exist() -> None:
    for option, needs in NEEDS.items():
        for named in (option, *(re.split("[=>]", need)[0] for need in needs)):
            section, _, key = named.partition(".")
            assert key in type(getattr(recipe(), section)).model_fields


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("data", "size", 1_000_000),
        ("data", "workers", 10**6),
        ("data", "synthetic_count", 10**9),
        ("diffusion", "train_steps", 10**9),
        ("sampling", "samples", 5000),
        ("sampling", "seed", 10**30),
        ("train", "images", 10**12),
        ("train", "batch_size", 10**6),
        ("train", "learning_rate", 1e9),
        ("model", "detail_width", 10**6),
        ("model", "mask_widths", [10**9]),
        ("model", "encoder_blocks", [1, 10**6, 1]),
    ],
)
def test_a_number_that_no_machine_computes_is_refused_with_its_limit(
    section: str, key: str, value: object
) -> None:
    values = recipe().model_dump()
    values[section] = {**values[section], key: value}
    with pytest.raises(UserError, match=rf"key '{section}\.{key}.*less than"):
        check_recipe(values, "here")


def test_a_batch_larger_than_memory_is_refused_with_one_that_fits() -> None:
    with pytest.raises(UserError, match=r"too large for memory; set train\.batch_size=64 or less"):
        recipe_of({"data": {"sources": {"synthetic": None}, "size": 2048}, "train": {"batch_size": 65}})
    recipe_of({"data": {"sources": {"synthetic": None}, "size": 2048}, "train": {"batch_size": 64}})


def test_self_conditioning_needs_two_images_per_device() -> None:
    """With one, the processes that condition no row would wait for statistics of the others forever."""
    data = {"sources": {"synthetic": None}}
    conditioned = {"data": data, "diffusion": {"self_conditioning": True}}
    with pytest.raises(UserError, match=r"two images per device; set train\.batch_size=4 or more"):
        recipe_of({**conditioned, "train": {"batch_size": 2, "devices": 2}})
    recipe_of({**conditioned, "train": {"batch_size": 4, "devices": 2}})
    recipe_of({**conditioned, "train": {"batch_size": 1}})
