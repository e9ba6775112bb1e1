import pytest
from pydantic import ValidationError

from mlffm_segdiff.build.recipe import check_recipe
from mlffm_segdiff.config.schema import Recipe, TrainConfig
from mlffm_segdiff.models.mlffm_segdiff import SIZES, MLFFMSegDiffConfig


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
    assert model.image_widths == SIZES[size]["image_widths"]
    assert model.fusion_width is None
    assert recipe(size=size).model.model_dump()["fusion_width"] == SIZES[size]["fusion_width"]


def test_sizes_grow() -> None:
    tiny, small, base = (SIZES[size] for size in ("tiny", "small", "base"))
    for key in ("image_widths", "mask_widths"):
        assert sum(tiny[key]) < sum(small[key]) < sum(base[key])


def test_defaults_pass_their_own_checks_and_suit_each_other() -> None:
    found = recipe()
    assert check_recipe(found.model_dump(), "here") == found
    assert found.sampling.steps <= found.diffusion.train_steps
    assert found.diffusion.beta_start < found.diffusion.beta_end
    assert found.train.warmup < found.train.images
    assert found.train.batch_size <= found.train.validate_every <= found.train.images
    assert found.data.size % 2 ** len(SIZES["base"]["image_widths"]) == 0
    assert 0 < found.train.ema_decay < 1


def test_a_recipe_cannot_be_changed_in_place() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        TrainConfig().images = 3


def test_sgd_refuses_a_warmup_that_would_not_take_place() -> None:
    with pytest.raises(ValidationError, match=r"sgd has no warm-up; set train\.warmup=0"):
        TrainConfig(optimizer="sgd")
    assert TrainConfig(optimizer="sgd", warmup=0).optimizer == "sgd"
