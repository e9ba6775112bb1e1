import pytest
import torch
from torch import nn

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.schema import Recipe
from mlffm_segdiff.diffusion.times import ImportanceTimes
from mlffm_segdiff.models.learned_variance import learn_variance
from mlffm_segdiff.models.registry import MODELS
from mlffm_segdiff.segmenters.assembly import build_segmenter
from mlffm_segdiff.segmenters.diffusion import DiffusionSegmenter
from mlffm_segdiff.segmenters.recipe import check_recipe

NOISE = {"objective": "epsilon", "training": "single"}


def recipe(**diffusion: object) -> Recipe:
    return check_recipe(
        {
            "name": "x",
            "data": {"sources": {"synthetic": None}, "size": 32},
            "model": {"name": "mlffm_segdiff", "size": "tiny"},
            "diffusion": {**NOISE, **diffusion},
            "sampling": {"sampler": "ddpm", "samples": 1},
        },
        "here",
    )


def test_the_new_channels_give_nothing_at_first_and_the_others_what_they_gave() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sequential(nn.SiLU(), nn.Conv2d(4, 2, 3, padding=1)))
    image = torch.randn(2, 3, 8, 8)
    before = network(image)
    learn_variance(network, "1.1", "toy")
    after = network(image)
    assert after.shape == (2, 4, 8, 8)
    assert torch.equal(after[:, :2], before)
    assert not after[:, 2:].any()
    after.sum().backward()
    assert all(p.grad is not None for p in network.parameters())


def test_only_the_head_differs_from_the_network_without_variance() -> None:
    plain, learned = (build_segmenter(recipe(learned_variance=on)).state_dict() for on in (False, True))
    assert list(plain) == list(learned)
    shapes = [name for name in plain if plain[name].shape != learned[name].shape]
    assert shapes == ["network.head.weight", "network.head.bias"]


def test_a_model_that_cannot_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MODELS["mlffm_segdiff"], "head", None)
    build_segmenter(recipe())
    with pytest.raises(UserError, match=r"model mlffm_segdiff cannot learn a variance; take .*=false"):
        build_segmenter(recipe(learned_variance=True))


def test_the_recipe_reaches_process_and_times() -> None:
    segmenter = build_segmenter(recipe(learned_variance=True, importance_sampling=True, train_steps=30))
    assert isinstance(segmenter, DiffusionSegmenter)
    assert segmenter.process.learned_variance
    assert isinstance(segmenter.times, ImportanceTimes)
    assert segmenter.times.counts.shape == (30,)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"training": "dual"}, r"objective epsilon needs diffusion\.training=single"),
        ({"training": "recycling", "objective": "v"}, r"objective v needs diffusion\.training=single"),
        ({"learned_variance": True, "objective": "x0"}, "learned_variance is for noise; take .*epsilon or v"),
        ({"importance_sampling": True, "objective": "x0"}, "importance_sampling is for noise"),
        ({"importance_sampling": True, "noisy_bias": 2}, r"leave diffusion\.noisy_bias at 1"),
        ({"learned_variance": True, "train_steps": 1}, "train_steps of 2 or more"),
    ],
)
def test_what_does_not_go_together_is_refused(changes: dict[str, object], says: str) -> None:
    with pytest.raises(UserError, match=says):
        recipe(**changes)


@pytest.mark.parametrize("sampler", ["ddim", "dpm"])
def test_a_sampler_without_variance_is_refused(sampler: str) -> None:
    values = recipe(learned_variance=True).model_dump()
    with pytest.raises(UserError, match=rf"sampling\.sampler={sampler} does not use .*; take ddpm"):
        check_recipe({**values, "sampling": {"sampler": sampler, "samples": 1}}, "here")
