"""Diffusion segmenters whose network gives the variance too, or that draw their times by the losses."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence

from mlffm_segdiff.data.batch import Batch
from mlffm_segdiff.diffusion.process import MaskDiffusion, Objective, add_noise, clean_estimate, velocity
from mlffm_segdiff.diffusion.reverse_step import ReverseStep
from mlffm_segdiff.diffusion.times import ImportanceTimes
from mlffm_segdiff.losses.boundary_weight import BandWeight, uniform_weight
from mlffm_segdiff.losses.region import RegionLoss
from mlffm_segdiff.segmenters.base import Sampling, Segmenter
from mlffm_segdiff.segmenters.diffusion import DiffusionSegmenter

Make = Callable[..., Segmenter]
Recorded = Callable[..., tuple[DiffusionSegmenter, Any]]
OBJECTIVES: tuple[Objective, ...] = ("epsilon", "v")
NICHOL_DHARIWAL = {"training": "single", "learned_variance": True, "importance_sampling": True}
DDPM = {"sampler": "ddpm", "samples": 1}


class Fixed(nn.Module):
    """A denoiser that answers with two learned maps, or the first alone, whatever it is asked."""

    total_stride = 1

    def __init__(self, outputs: int = 2) -> None:
        super().__init__()
        self.outputs = outputs
        generator = torch.Generator().manual_seed(0)
        self.answer = nn.Parameter(torch.randn(4, 1, 32, 32, generator=generator))
        self.variance = nn.Parameter(torch.rand(4, 1, 32, 32, generator=generator) * 2 - 1)

    def encode(self, image: Tensor) -> list[Tensor]:
        return [image]

    def denoise(self, noisy_mask: Tensor, t: Tensor, features: Sequence[Tensor]) -> Tensor:
        return torch.cat([self.answer, self.variance], dim=1)[:, : self.outputs]


def drawn(process: MaskDiffusion, mask: Tensor, seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """t, abar_t, noise and x_t, drawn again in the order that the loss draws them."""
    torch.manual_seed(seed)
    t = (torch.rand(len(mask)) * process.train_steps).long()
    noise = torch.randn(mask.shape)
    a = process.alphas_cumprod()[t].view(-1, 1, 1, 1)
    return t, a, noise, add_noise(process.mask_scale * mask, noise, a)


def simple_losses(process: MaskDiffusion, batch: Batch, answer: Tensor, seed: int) -> Tensor:
    """The weighted squared error of each case."""
    _, a, noise, _ = drawn(process, batch.mask, seed)
    target = noise if process.objective == "epsilon" else velocity(process.mask_scale * batch.mask, noise, a)
    weight = 1 + 2 * a * torch.exp(-batch.distance.square() / 18)
    return (weight * (answer - target) ** 2).mean(dim=(1, 2, 3))


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_hybrid_loss_by_hand(objective: Objective, batch: Batch) -> None:
    """L_simple + 0.001 T L_t, in bits a pixel, where none of the times is 0."""
    process = MaskDiffusion(objective, train_steps=400, mask_scale=0.2, learned_variance=True)
    network = Fixed()
    segmenter = DiffusionSegmenter(network, process, RegionLoss(), BandWeight(2, 3))
    torch.manual_seed(3)
    loss = segmenter.loss(batch)
    t, a, _, x_t = drawn(process, batch.mask, 3)
    assert int(t.min()) > 0
    step, x0 = ReverseStep(process), 0.2 * batch.mask
    estimate = clean_estimate(network.answer, x_t, a, objective)
    posterior = Normal(step.mean(x0, x_t, t), (step.log_variance(t) / 2).exp().expand(x0.shape))
    model = Normal(step.mean(estimate, x_t, t), (step.learned_log_variance(network.variance, t) / 2).exp())
    bound = 400 * kl_divergence(posterior, model).mean() / math.log(2)
    expected = simple_losses(process, batch, network.answer, 3).mean() + 0.001 * bound
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=0)


def test_the_mean_learns_by_the_simple_loss_alone(batch: Batch) -> None:
    process = MaskDiffusion("epsilon", mask_scale=0.2, learned_variance=True)
    network = Fixed()
    torch.manual_seed(3)
    DiffusionSegmenter(network, process, RegionLoss(), BandWeight(2, 3)).loss(batch).backward()  # type: ignore[no-untyped-call]
    (expected,) = torch.autograd.grad(
        simple_losses(process, batch, network.answer, 3).mean(), [network.answer]
    )
    assert network.answer.grad is not None
    assert network.variance.grad is not None
    torch.testing.assert_close(network.answer.grad, expected)
    assert network.variance.grad.any()


def test_losses_of_cases_are_weighted_and_remembered(batch: Batch) -> None:
    times = ImportanceTimes(2)
    for _ in range(10):
        times.observe(torch.tensor([0, 1]), torch.tensor([9.0, 1.0]))
    p = times.probabilities()
    network, process = Fixed(outputs=1), MaskDiffusion("epsilon", train_steps=2)
    segmenter = DiffusionSegmenter(network, process, RegionLoss(), uniform_weight, times)
    torch.manual_seed(5)
    loss = segmenter.loss(batch)
    torch.manual_seed(5)
    t = torch.multinomial(p, 4, replacement=True)
    noise = torch.randn(4, 1, 32, 32)
    losses = (network.answer - noise).square().mean(dim=(1, 2, 3))
    torch.testing.assert_close(loss, (losses / (2 * p[t])).mean().float())
    assert times.counts.sum() == 24
    for time in (0, 1):
        told = losses[t == time].detach().double()
        torch.testing.assert_close(times.losses[time, : len(told)], told)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("self_conditioning", [True, False])
def test_a_network_of_two_outputs_trains_and_segments(
    objective: str, self_conditioning: bool, trained: Make, batch: Batch
) -> None:
    diffusion = {**NICHOL_DHARIWAL, "objective": objective, "self_conditioning": self_conditioning}
    segmenter = trained(diffusion=diffusion, sampling=DDPM)
    loss = segmenter.loss(batch)
    loss.backward()  # type: ignore[no-untyped-call]
    assert all(
        p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in segmenter.parameters()
    )
    found = segmenter.segment(batch.image, Sampling(2, 4, 0, "ddpm"))
    assert found.probability.shape == (4, 1, 32, 32)
    assert found.probability.isfinite().all()
    alone = segmenter.segment(batch.image[2:3], Sampling(2, 4, 0, "ddpm"))
    torch.testing.assert_close(alone.probability, found.probability[2:3], rtol=0, atol=1e-4)


@pytest.mark.parametrize("steps", [1, 4, 20])
def test_the_least_variance_draws_what_a_process_without_a_learned_one_draws(
    steps: int, recorded: Recorded, batch: Batch
) -> None:
    def drawn_with(output: float | None) -> Tensor:
        process = MaskDiffusion("epsilon", train_steps=20, learned_variance=output is not None)

        def answer(x: Tensor, t: Tensor, image: Tensor) -> Tensor:
            second = [] if output is None else [torch.full_like(x, output)]
            return torch.cat([0.9 * x, *second], dim=1)

        segmenter, _ = recorded(answer, process)
        return segmenter.segment(batch.image, Sampling(1, steps, sampler="ddpm")).probability

    torch.testing.assert_close(drawn_with(-1.0), drawn_with(None), rtol=0, atol=1e-5)
    assert torch.equal(drawn_with(1.0), drawn_with(None)) is (steps == 1)


def test_what_importance_has_learned_is_kept_beside_the_weights(trained: Make, batch: Batch) -> None:
    diffusion = {**NICHOL_DHARIWAL, "objective": "epsilon", "train_steps": 20}
    chosen = {"diffusion": diffusion, "sampling": DDPM}
    segmenter, other = trained(**chosen), trained(**chosen)
    plain = trained(diffusion={**diffusion, "importance_sampling": False}, sampling=DDPM)
    assert set(segmenter.state_dict()) == set(plain.state_dict())
    plain.load_state_dict(segmenter.state_dict())
    assert plain.training_state() == {}
    segmenter.loss(batch)
    state = {name: value.clone() for name, value in segmenter.training_state().items()}
    assert state["counts"].sum() == 4
    other.load_training_state(state)
    assert all(torch.equal(value, other.training_state()[name]) for name, value in state.items())
    other.loss(batch)
    assert segmenter.training_state()["counts"].sum() == 4
