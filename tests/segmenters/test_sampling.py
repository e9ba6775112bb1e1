import sys

import pytest

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.schema import Recipe
from mlffm_segdiff.segmenters.base import Sampling
from mlffm_segdiff.segmenters.recipe import load_recipe
from mlffm_segdiff.segmenters.sampling import chosen_sampling


@pytest.fixture
def recipe() -> Recipe:
    return load_recipe(
        "isic2018", ["sampling.steps=5", "sampling.samples=2", "sampling.seed=9", "diffusion.train_steps=50"]
    )


def test_what_is_not_chosen_is_the_recipes(recipe: Recipe) -> None:
    assert chosen_sampling(recipe) == Sampling(2, 5, 9, "ddim")
    assert chosen_sampling(recipe, samples=8) == Sampling(8, 5, 9, "ddim")
    assert chosen_sampling(recipe, samples=0) == Sampling(0, 4, 9, "ddim")
    assert chosen_sampling(recipe, samples=0, steps=None, sampler=None).samples == 0
    assert chosen_sampling(recipe, samples=0, second_look=True).second_look
    assert chosen_sampling(recipe, 50, 1, "dpm", 0) == Sampling(1, 50, 0, "dpm")
    assert chosen_sampling(recipe, fusion="staple") == Sampling(2, 5, 9, "ddim", fusion="staple")


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"steps": 0}, r"sampling\.steps.*greater than 0"),
        ({"samples": -1}, r"sampling\.samples.*greater than or equal to 0"),
        ({"sampler": "euler"}, r"sampling\.sampler.*'ddim', 'ddpm' or 'dpm'"),
        ({"fusion": "median"}, r"sampling\.fusion.*'mean' or 'staple'"),
        ({"fusion": "staple", "samples": 1}, r"fusion staple needs several samples; take samples=2 or more$"),
        ({"second_look": True}, r"second_look refines the posterior mean; leave samples at 0$"),
        ({"steps": 51}, r"sampling\.steps=51 .* take fewer steps"),
        ({"steps": 7, "samples": 0}, "no samples are drawn, so steps would have no effect; set samples to 1"),
    ],
)
def test_a_choice_out_of_range_is_told(recipe: Recipe, choice: dict[str, int | str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        chosen_sampling(recipe, **choice)


def test_a_fusion_that_is_not_installed_is_told_before_anything_is_drawn(
    recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "SimpleITK", None)
    with pytest.raises(UserError, match=r"^SimpleITK is not installed.*'\.\[staple\]'$"):
        chosen_sampling(recipe, fusion="staple")
    assert chosen_sampling(recipe).fusion == "mean"


def test_a_network_of_one_pass_has_no_samples_to_fuse() -> None:
    with pytest.raises(
        UserError, match=r"unet segments in one pass, .*; leave out sampling\.samples, sampling\.fusion"
    ):
        chosen_sampling(load_recipe("unet"), samples=3, fusion="staple")
