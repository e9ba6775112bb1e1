from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from diffusers import DDPMScheduler
from torch import Tensor

from mlffm_segdiff.diffusion.process import MaskDiffusion, Schedule
from mlffm_segdiff.diffusion.reverse_step import ReverseStep

Floats = npt.NDArray[np.float64]

SCHEDULES: tuple[Schedule, ...] = ("cosine", "linear")
TIMES = (1, 2, 500, 998, 999)
GENERATOR = torch.Generator().manual_seed(0)
X0 = 0.3 * torch.rand(1, 1, 4, 6, generator=GENERATOR).sub(0.5).sign()
X_T = torch.randn(1, 1, 4, 6, generator=GENERATOR)
OUTPUT = 3 * torch.rand(1, 1, 4, 6, generator=GENERATOR) - 1.5


def by_bayes(betas: Floats, t: int, x0: Floats, x_t: Floats) -> tuple[Floats, float]:
    """Mean and variance of x_{t-1}: N(x_t; sqrt(alpha_t) x_{t-1}, beta_t) times its density given x_0."""
    before = np.prod(1 - betas[:t])
    variance = 1 / ((1 - betas[t]) / betas[t] + 1 / (1 - before))
    mean = variance * (np.sqrt(1 - betas[t]) * x_t / betas[t] + np.sqrt(before) * x0 / (1 - before))
    return mean, variance


def diffusers_scheduler(process: MaskDiffusion, variance: str) -> Any:
    settings = {**process.scheduler_settings(), "prediction_type": "sample", "clip_sample": False}
    return DDPMScheduler(**settings, variance_type=variance)


def at(t: int) -> Tensor:
    return torch.tensor([t])


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("t", TIMES)
def test_the_posterior_is_bayes_rule(schedule: Schedule, t: int) -> None:
    process = MaskDiffusion("epsilon", schedule)
    step = ReverseStep(process)
    mean, variance = by_bayes(process.betas().double().numpy(), t, X0.double().numpy(), X_T.double().numpy())
    np.testing.assert_allclose(step.mean(X0, X_T, at(t)), mean, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(step.log_variance(at(t)), np.full((1, 1, 1, 1), np.log(variance)), rtol=1e-5)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("t", TIMES)
def test_steps_are_diffusers(schedule: Schedule, t: int) -> None:
    """Mean, least and learned variance, with the noise drawn again from a generator of the same state.

    diffusers takes beta_t from float32 products, so it is right to about a thousandth at small t.
    """
    process = MaskDiffusion("epsilon", schedule)
    step = ReverseStep(process)
    noise = torch.randn(1, 1, 4, 6, generator=torch.Generator().manual_seed(t))
    least, learned = step.log_variance(at(t)), step.learned_log_variance(OUTPUT, at(t))
    for variance, log_variance, output in (
        ("fixed_small", least, X0),
        ("learned_range", learned, torch.cat([X0, OUTPUT], dim=1)),
    ):
        scheduler = diffusers_scheduler(process, variance)
        found = scheduler.step(output, t, X_T, generator=torch.Generator().manual_seed(t)).prev_sample
        expected = step.mean(X0, X_T, at(t)) + torch.exp(log_variance / 2) * noise
        torch.testing.assert_close(found, expected, rtol=2e-3, atol=2e-4)
    expected = diffusers_scheduler(process, "learned_range")._get_variance(t, OUTPUT)
    torch.testing.assert_close(learned, expected, rtol=0, atol=5e-3)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_learned_variance_goes_from_the_posteriors_to_beta_in_its_logarithm(schedule: Schedule) -> None:
    """Equation 15 with v = 0, 1 and 1/2: beta-tilde, beta, and the root of their product."""
    process = MaskDiffusion("epsilon", schedule)
    step = ReverseStep(process)
    beta = process.betas().double().numpy()
    for t in TIMES:
        least = by_bayes(beta, t, np.zeros(1), np.zeros(1))[1]
        expected = [least, np.sqrt(least * beta[t]), beta[t]]
        output = torch.tensor([-1.0, 0.0, 1.0]).view(1, 1, 1, 3)
        found = step.learned_log_variance(output, at(t)).exp().flatten()
        np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_the_step_to_x0_has_the_mean_x0_and_the_least_variance_of_the_next() -> None:
    step = ReverseStep(MaskDiffusion("epsilon"))
    assert torch.equal(step.mean(X0, X_T, at(0)), X0)
    assert torch.equal(step.log_variance(at(0)), step.log_variance(at(1)))


def test_each_case_has_its_own_time_and_no_table_is_a_weight() -> None:
    step = ReverseStep(MaskDiffusion("epsilon"))
    x0, x_t, output = (x.expand(3, 1, 4, 6) for x in (X0, X_T, OUTPUT))
    times = torch.tensor([0, 400, 999])
    rows = [step.mean(X0, X_T, at(int(t))) for t in times]
    assert torch.equal(step.mean(x0, x_t, times), torch.cat(rows))
    learned = [step.learned_log_variance(OUTPUT, at(int(t))) for t in times]
    assert torch.equal(step.learned_log_variance(output, times), torch.cat(learned))
    assert not step.state_dict()
