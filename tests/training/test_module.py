import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lightning.pytorch import Trainer
from stand_ins import StandIn
from torch import Tensor, nn
from torch.utils.data import DataLoader

from mlffm_segdiff.config.schema import Recipe
from mlffm_segdiff.data.batch import Batch
from mlffm_segdiff.segmenters.assembly import build_segmenter
from mlffm_segdiff.training.module import (
    SegmenterModule,
    poly,
    seed_of_step,
    update_weights,
    warmup_cosine,
)


def test_warmup_and_cosine_by_hand() -> None:
    shares = [warmup_cosine(step, 4, 12) for step in range(13)]
    assert shares[:4] == [0.25, 0.5, 0.75, 1.0]
    assert shares[4] == 1
    assert shares[8] == pytest.approx(0.01 + 0.99 / 2)
    assert shares[10] == pytest.approx(0.01 + 0.99 * (1 + math.cos(0.75 * math.pi)) / 2)
    assert shares[12] == pytest.approx(0.01)


@given(st.integers(1, 500), st.integers(1, 2000), st.floats(0, 1))
def test_the_rate_rises_then_falls_and_stays_between_floor_and_one(
    warmup: int, total: int, floor: float
) -> None:
    shares = [warmup_cosine(step, warmup, total, floor) for step in range(total + 5)]
    rise, fall = shares[:warmup], shares[warmup:]
    assert rise == sorted(rise)
    assert all(a >= b - 1e-12 for a, b in pairwise(fall))
    assert all(min(floor, 1 / warmup) - 1e-12 <= share <= 1 for share in shares)


class Seeds(StandIn):
    """Records torch's seed when the loss is computed."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)
        self.seen: list[int] = []

    def loss(self, batch: Batch) -> Tensor:
        self.seen.append(torch.initial_seed())
        return self.layer(batch.mask.new_ones(1, 1)).sum()


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning", "ignore::UserWarning:lightning")
def test_random_numbers_of_a_step_depend_on_the_seed_and_its_number(recipe: Recipe) -> None:
    segmenter = Seeds()
    trainer = Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    batch = Batch(*torch.zeros(3, 2, 1, 4, 4), ids=["a", "b"])
    module = SegmenterModule(segmenter, recipe.model_copy(update={"seed": 5}))
    trainer.fit(module, DataLoader([batch] * 2, batch_size=None))
    assert segmenter.seen == [seed_of_step(5, step) for step in range(4)]
    (rate,) = {group["lr"] for group in trainer.optimizers[0].param_groups}
    assert rate == pytest.approx(recipe.train.learning_rate * warmup_cosine(4, 10, 100))  # one step a batch


def test_each_seed_and_step_draws_other_numbers() -> None:
    """On a CPU torch reads the lower 32 bits of a seed only."""
    drawn = set()
    for seed in (0, 1, 2, 2**31, 2**32 - 1):
        for step in (0, 1, 2, 1000):
            torch.manual_seed(seed_of_step(seed, step))
            drawn.add(tuple(torch.rand(2).tolist()))
    assert len(drawn) == 20


def test_a_step_clips_all_gradients_together() -> None:
    """Gradients of 2 and 2 under a norm of at most 1: plain SGD moves weight and bias by 1 / sqrt(2)."""
    segmenter = Seeds()
    nn.init.zeros_(segmenter.layer.weight)
    nn.init.zeros_(segmenter.layer.bias)
    segmenter.layer.weight.grad = torch.full((1, 1), 9.0)  # of an earlier step, which counts no more
    batch = Batch(*torch.ones(3, 1, 1, 1, 1), ids=["a"])
    loss = update_weights(segmenter, batch, torch.optim.SGD(segmenter.parameters(), 1.0), clip=1.0)
    assert not loss.requires_grad
    for value in segmenter.parameters():
        assert value.item() == pytest.approx(-(0.5**0.5), rel=1e-5)


def test_weights_decay_but_biases_and_norms_do_not(make_recipe: Callable[..., Recipe]) -> None:
    recipe = make_recipe(train={"learning_rate": 2e-3, "weight_decay": 0.05})
    segmenter = build_segmenter(recipe)
    module = SegmenterModule(segmenter, recipe)
    made = module.configure_optimizers()
    optimizer, schedule = made["optimizer"], made["lr_scheduler"]
    decayed, other = optimizer.param_groups
    assert (decayed["weight_decay"], other["weight_decay"]) == (0.05, 0)
    assert {p.ndim for p in other["params"]} == {1}
    assert min(p.ndim for p in decayed["params"]) >= 2
    both = [*decayed["params"], *other["params"]]
    assert sorted(map(id, both)) == sorted(map(id, segmenter.parameters()))
    assert schedule.get_last_lr() == [pytest.approx(2e-4)] * 2


def test_the_rate_of_a_run_ends_at_a_hundredth(make_recipe: Callable[..., Recipe]) -> None:
    recipe = make_recipe(train={"learning_rate": 1.0})
    module = SegmenterModule(build_segmenter(recipe), recipe)
    schedule = module.configure_optimizers()["lr_scheduler"]
    schedule.optimizer.step()
    for _ in range(100):
        schedule.step()
    assert schedule.get_last_lr()[0] == pytest.approx(0.01)


def test_sgd_is_nnunets_by_hand(make_recipe: Callable[..., Recipe]) -> None:
    """Weights under the loss 2 w: momentum 0.99 of Nesterov's kind, decay on all, poly of each step."""
    segmenter = Seeds()
    nn.init.constant_(segmenter.layer.weight, 1)
    nn.init.constant_(segmenter.layer.bias, 1)
    settings = {"optimizer": "sgd", "learning_rate": 0.01, "weight_decay": 3e-5, "warmup": 0, "images": 16}
    module = SegmenterModule(segmenter, make_recipe(train=settings))
    made = module.configure_optimizers()
    optimizer, schedule = made["optimizer"], made["lr_scheduler"]
    w, velocity = 1.0, 0.0
    for step in range(4):
        optimizer.zero_grad()
        (2 * (segmenter.layer.weight + segmenter.layer.bias)).sum().backward()
        optimizer.step()
        schedule.step()
        gradient = 2 + 3e-5 * w
        velocity = 0.99 * velocity + gradient
        w -= 0.01 * (1 - step / 4) ** 0.9 * (gradient + 0.99 * velocity)
        assert segmenter.layer.weight.item() == pytest.approx(w, rel=1e-6)
        assert segmenter.layer.bias.item() == pytest.approx(w, rel=1e-6)
    assert schedule.get_last_lr() == [0]


def test_poly_by_hand() -> None:
    """A thousand epochs of nnU-Net: its log says 0.01 at 0, 0.00991 at 10, 0.00536 at 500."""
    assert poly(0, 1000) == 1
    assert round(0.01 * poly(10, 1000), 5) == 0.00991
    assert round(0.01 * poly(500, 1000), 5) == 0.00536
    assert (poly(1000, 1000), poly(1003, 1000)) == (0, 0)
