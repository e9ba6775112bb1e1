"""Objectives against diffusers and closed forms."""

import pytest
import torch
from diffusers import DDIMScheduler
from torch import Tensor, nn

from mlffm_segdiff.config.diffusion_config import ScheduleName
from mlffm_segdiff.data.batch import Batch
from mlffm_segdiff.diffusion.process import MaskDiffusion, add_noise, velocity
from mlffm_segdiff.losses.region import RegionLoss
from mlffm_segdiff.segmenters.assembly import build_segmenter
from mlffm_segdiff.segmenters.objectives import X0, Epsilon, Objective, V
from mlffm_segdiff.segmenters.recipe import check_recipe

SCHEDULES: dict[ScheduleName, str] = {"cosine": "squaredcos_cap_v2", "linear": "linear"}
T = torch.tensor([0, 1, 250, 777, 999])
GENERATOR = torch.Generator().manual_seed(0)
MASK = torch.rand(5, 1, 4, 6, generator=GENERATOR).sub(0.5).sign()
NOISE = torch.randn(5, 1, 4, 6, generator=GENERATOR)
WEIGHT = 1 + torch.rand(5, 1, 4, 6, generator=GENERATOR)
SCALE = 0.2


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(("objective", "name"), [(Epsilon(), "epsilon"), (V(1.0), "v_prediction")])
def test_estimates_of_the_mask_are_those_of_diffusers(
    schedule: ScheduleName, objective: Objective, name: str
) -> None:
    scheduler = DDIMScheduler(beta_schedule=SCHEDULES[schedule], prediction_type=name, clip_sample=False)
    scheduler.set_timesteps(1000)
    x_t, output = MASK + NOISE, NOISE.flip(0)
    for row, t in enumerate(T):
        alpha_bar = MaskDiffusion(schedule).alpha_bar[t]
        expected = scheduler.step(output[row], t, x_t[row]).pred_original_sample
        torch.testing.assert_close(objective.x0(output[row], x_t[row], alpha_bar), expected)


def test_the_estimate_of_a_logit_is_twice_its_sigmoid_less_one() -> None:
    found = X0(RegionLoss(), SCALE).x0(3 * NOISE, MASK, torch.ones(5, 1, 1, 1))
    torch.testing.assert_close(found, SCALE * (2 * torch.sigmoid(3 * NOISE) - 1))


def perfect_output(objective: Objective, alpha_bar: Tensor) -> Tensor:
    if isinstance(objective, X0):
        return 50 * MASK
    return NOISE if isinstance(objective, Epsilon) else velocity(SCALE * MASK, NOISE, alpha_bar)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("objective", [X0(RegionLoss(), SCALE), Epsilon(), V(SCALE)], ids=["x0", "eps", "v"])
def test_a_perfect_output_has_no_loss_and_estimates_the_mask(
    schedule: ScheduleName, objective: Objective
) -> None:
    alpha_bar = MaskDiffusion(schedule).alpha_bar[T].view(-1, 1, 1, 1)
    output, x_t = perfect_output(objective, alpha_bar), add_noise(SCALE * MASK, NOISE, alpha_bar)
    torch.testing.assert_close(objective.x0(output, x_t, alpha_bar), SCALE * MASK, rtol=0, atol=5e-3)
    batch = Batch(torch.zeros(5, 3, 4, 6), MASK, -MASK, [""] * 5)
    assert float(objective.loss(output, batch, NOISE, alpha_bar, WEIGHT)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("objective", [Epsilon(), V(SCALE)], ids=["eps", "v"])
def test_losses_of_noise_are_weighted_squared_errors(objective: Objective) -> None:
    alpha_bar = MaskDiffusion().alpha_bar[T].view(-1, 1, 1, 1)
    error = torch.randn(5, 1, 4, 6)
    batch = Batch(torch.zeros(5, 3, 4, 6), MASK, -MASK, [""] * 5)
    found = objective.loss(perfect_output(objective, alpha_bar) + error, batch, NOISE, alpha_bar, WEIGHT)
    torch.testing.assert_close(found, (WEIGHT * error.square()).mean())


class Weighted(nn.Module):
    """A loss of a user with a parameter and a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.ones(()))
        self.register_buffer("offset", torch.zeros(()))

    def forward(self, logit: Tensor, mask: Tensor, distance: Tensor, weight: Tensor) -> Tensor:
        return (self.factor * logit - mask + self.offset).square().mean()


@pytest.mark.parametrize(
    "model", [{"name": "unet", "widths": [4, 4]}, {"name": "mlffm_segdiff", "size": "tiny"}]
)
def test_a_loss_with_weights_is_part_of_every_segmenter(model: dict[str, object], batch: Batch) -> None:
    values = {"name": "x", "data": {"sources": {"synthetic": None}, "size": 32}, "model": model}
    recipe = check_recipe(values | {"loss": {"target": f"{__name__}.Weighted"}}, "here")
    segmenter = build_segmenter(recipe)
    (factor,) = [value for name, value in segmenter.named_parameters() if name.endswith("mask_loss.factor")]
    assert sum(name.endswith("mask_loss.offset") for name in segmenter.state_dict()) == 1
    segmenter.loss(batch).backward()
    assert factor.grad is not None
