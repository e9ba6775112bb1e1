"""The learning rate of a pretrained encoder is a share of the others'."""

import pytest
import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from mlffm_segdiff.config.schema import Recipe, TrainConfig
from mlffm_segdiff.models.encoders import pretrained_encoder
from mlffm_segdiff.segmenters.assembly import build_segmenter
from mlffm_segdiff.segmenters.base import BaseSegmenter
from mlffm_segdiff.segmenters.recipe import check_recipe
from mlffm_segdiff.training.module import SegmenterModule, build_optimizer, poly, warmup_cosine

RATE, SHARE, DECAY = 2e-3, 0.25, 0.05
WARMUP, STEPS = 4, 12
MODEL: dict[str, object] = {"name": "unet", "encoder": "efficientnet_lite0", "decoder_widths": (8, 8, 8, 8)}


def recipe(model: dict[str, object], optimizer: str = "adamw") -> Recipe:
    settings: dict[str, object] = {
        "images": STEPS,
        "batch_size": 1,
        "optimizer": optimizer,
        "learning_rate": RATE,
        "weight_decay": DECAY,
        "warmup": WARMUP if optimizer == "adamw" else 0,
    }
    if model == MODEL:
        settings["encoder_rate"] = SHARE
    data = {"sources": {"synthetic": None}}
    return check_recipe({"name": "x", "data": data, "model": model, "train": settings}, "here")


@pytest.fixture
def segmenter() -> BaseSegmenter:
    return build_segmenter(recipe(MODEL))


def optimise(
    segmenter: BaseSegmenter, optimizer: str = "adamw", model: dict[str, object] = MODEL
) -> tuple[Optimizer, LRScheduler]:
    made = SegmenterModule(segmenter, recipe(model, optimizer)).configure_optimizers()
    return made["optimizer"], made["lr_scheduler"]


def test_each_parameter_is_in_the_group_of_its_rate_and_decay(segmenter: BaseSegmenter) -> None:
    optimizer, _ = optimise(segmenter)
    encoder = pretrained_encoder(segmenter)
    assert encoder is not None
    inside = {id(p) for p in encoder.parameters()}
    seen = []
    for group in optimizer.param_groups:
        for p in group["params"]:
            seen.append(id(p))
            assert group["initial_lr"] == RATE * (SHARE if id(p) in inside else 1)
            assert group["weight_decay"] == (DECAY if p.ndim > 1 else 0)
    assert sorted(seen) == sorted(id(p) for p in segmenter.parameters())
    assert len(optimizer.param_groups) == 4


def test_warm_up_and_cosine_hold_for_every_group(segmenter: BaseSegmenter) -> None:
    optimizer, schedule = optimise(segmenter)
    for step in range(STEPS):
        shares = [group["lr"] / group["initial_lr"] for group in optimizer.param_groups]
        assert shares == pytest.approx([warmup_cosine(step, WARMUP, STEPS)] * 4)
        optimizer.step()
        schedule.step()


def test_the_first_step_moves_the_encoder_by_its_share(segmenter: BaseSegmenter) -> None:
    """AdamW's first step is its rate times the gradient's sign, where nothing decays."""
    optimizer, _ = optimise(segmenter)
    weights = dict(segmenter.named_parameters())
    names = ("network.encoder.stem.2.bias", "network.head.bias")
    for name in names:
        weights[name].data.zero_()
        weights[name].grad = torch.ones_like(weights[name])
    optimizer.step()
    moved = [weights[name].abs().mean().item() for name in names]
    assert moved == pytest.approx([SHARE * RATE / WARMUP, RATE / WARMUP], rel=1e-3)


def test_sgd_has_a_group_for_each_rate(segmenter: BaseSegmenter) -> None:
    optimizer, schedule = optimise(segmenter, "sgd")
    encoder = pretrained_encoder(segmenter)
    assert encoder is not None
    slow, fast = optimizer.param_groups
    assert list(map(id, slow["params"])) == list(map(id, encoder.parameters()))
    assert len(fast["params"]) == len(list(segmenter.parameters())) - len(slow["params"])
    assert (slow["weight_decay"], fast["weight_decay"]) == (DECAY, DECAY)
    for step in range(STEPS):
        rate = poly(step, STEPS)
        assert [slow["lr"], fast["lr"]] == pytest.approx([SHARE * RATE * rate, RATE * rate])
        optimizer.step()
        schedule.step()


@pytest.mark.parametrize(
    ("model", "init"), [({"name": "mlffm_segdiff", "size": "tiny"}, "imagenet"), (MODEL, None)]
)
def test_without_a_pretrained_encoder_there_is_one_rate(model: dict[str, object], init: str | None) -> None:
    plain = recipe(model).model_copy(update={"train": TrainConfig(learning_rate=RATE, encoder_init=init)})
    optimizer = build_optimizer(build_segmenter(plain), plain.train)
    assert {group["lr"] for group in optimizer.param_groups} == {RATE}
