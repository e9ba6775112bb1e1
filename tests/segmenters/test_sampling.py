import sys

import pytest

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.sampling_arguments import SAMPLING_KEYS, parse_sampling
from mlffm_segdiff.config.schema import Recipe, SamplingConfig
from mlffm_segdiff.segmenters.recipe import load_recipe
from mlffm_segdiff.segmenters.sampling import chosen_sampling


@pytest.fixture
def recipe() -> Recipe:
    return load_recipe(
        "isic2018", ["sampling.steps=5", "sampling.samples=2", "sampling.seed=9", "diffusion.train_steps=50"]
    )


def test_what_is_not_chosen_is_the_recipes(recipe: Recipe) -> None:
    assert chosen_sampling(recipe) == SamplingConfig(samples=2, steps=5, seed=9, sampler="ddim")
    assert chosen_sampling(recipe, {"samples": 8}) == SamplingConfig(
        samples=8, steps=5, seed=9, sampler="ddim"
    )
    assert chosen_sampling(recipe, {"samples": 0}) == SamplingConfig(
        samples=0, steps=4, seed=9, sampler="ddim"
    )
    assert chosen_sampling(recipe, {"samples": "0"}) == SamplingConfig(
        samples=0, steps=4, seed=9, sampler="ddim"
    )
    assert chosen_sampling(recipe, {"samples": 0, "second_look": True}).second_look
    assert chosen_sampling(
        recipe, {"steps": 50, "samples": 1, "sampler": "dpm", "seed": 0}
    ) == SamplingConfig(samples=1, steps=50, seed=0, sampler="dpm")
    assert chosen_sampling(recipe, {"fusion": "staple"}) == SamplingConfig(
        samples=2, steps=5, seed=9, sampler="ddim", fusion="staple"
    )


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"steps": 0}, r"sampling\.steps.*greater than 0"),
        ({"samples": -1}, r"sampling\.samples.*greater than or equal to 0"),
        ({"sampler": "euler"}, r"sampling\.sampler.*'ddim', 'ddpm' or 'dpm'"),
        ({"fusion": "median"}, r"sampling\.fusion.*'mean' or 'staple'"),
        ({"fusion": "staple", "samples": 1}, r"fusion staple needs several samples; set samples=2 or more$"),
        ({"second_look": True}, r"second_look refines the posterior mean; leave samples at 0$"),
        ({"steps": 51}, r"sampling\.steps=51 .* set fewer steps"),
    ],
)
def test_a_choice_out_of_range_is_reported(
    recipe: Recipe, choice: dict[str, int | str], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        chosen_sampling(recipe, choice)


def test_a_sampler_that_is_not_installed_is_reported_before_anything_is_drawn(
    recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(UserError, match=r"^diffusers is not installed.*\[dpm\]\"$"):
        chosen_sampling(recipe, {"sampler": "dpm"})
    assert chosen_sampling(recipe).sampler == "ddim"


def test_a_network_of_one_pass_has_no_samples_to_fuse() -> None:
    with pytest.raises(UserError, match=r"unet segments in one pass, .*; leave out sampling\.samples"):
        chosen_sampling(load_recipe("unet"), {"samples": 3, "fusion": "staple"})


def test_arguments_become_one_mapping_whose_text_gets_the_type_of_its_key(recipe: Recipe) -> None:
    overrides = parse_sampling(["sampling.samples=16", "sampling.widening=1.5", "sampling.mirror=true"])
    assert overrides == {"samples": "16", "widening": "1.5", "mirror": "true"}
    found = chosen_sampling(recipe, overrides)
    assert (found.samples, found.widening, found.mirror) == (16, 1.5, True)


@pytest.mark.parametrize("argument", ["steps=8", "sampling.steps", "train.steps=8", "8"])
def test_another_argument_is_refused_with_the_known_keys(argument: str) -> None:
    with pytest.raises(UserError, match=rf"'{argument}' is not sampling\.KEY=VALUE.*; known keys: samples, "):
        parse_sampling([argument])


def test_an_unknown_key_and_a_key_given_twice_are_refused(recipe: Recipe) -> None:
    with pytest.raises(
        UserError, match=f"unknown sampling key 'step'; known keys: {', '.join(SAMPLING_KEYS)}"
    ):
        chosen_sampling(recipe, parse_sampling(["sampling.step=8"]))
    with pytest.raises(UserError, match=r"sampling\.steps is given twice"):
        parse_sampling(["sampling.steps=8", "sampling.steps=9"])


@pytest.mark.parametrize("key", ["steps", "sampler", "widening", "logit_spread", "fusion"])
def test_what_only_concerns_samples_needs_them(key: str) -> None:
    recipe = load_recipe("isic2018", ["sampling.samples=0"])
    value = getattr(chosen_sampling(recipe), key)
    with pytest.raises(UserError, match=f"no samples are drawn, so {key} would have no effect"):
        chosen_sampling(recipe, {key: value})
    assert getattr(chosen_sampling(recipe, {key: value, "samples": 2}), key) == value
