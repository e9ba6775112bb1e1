import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from torch.distributions import Normal, kl_divergence

from mlffm_segdiff.diffusion.process import MaskDiffusion, add_noise
from mlffm_segdiff.diffusion.reverse_step import ReverseStep
from mlffm_segdiff.diffusion.variational_bound import bound_term, mask_log_likelihood, normal_divergence

PROCESS = MaskDiffusion("epsilon", "linear", mask_scale=0.3, learned_variance=True)
STEP = ReverseStep(PROCESS)
GENERATOR = torch.Generator().manual_seed(0)
T = torch.tensor([1, 300, 999])
X0 = 0.3 * torch.rand(3, 1, 4, 6, generator=GENERATOR).sub(0.5).sign()
X_T = add_noise(
    X0, torch.randn(3, 1, 4, 6, generator=GENERATOR), PROCESS.alphas_cumprod()[T].view(-1, 1, 1, 1)
)
ESTIMATE = X0 + 0.1 * torch.randn(3, 1, 4, 6, generator=GENERATOR)
OUTPUT = 3 * torch.rand(3, 1, 4, 6, generator=GENERATOR) - 1.5

Means = st.floats(-5, 5)
Logs = st.floats(-8, 4)


@given(Means, Logs, Means, Logs)
def test_the_divergence_is_torchs(mean: float, log_variance: float, other: float, other_log: float) -> None:
    numbers = [torch.tensor(x, dtype=torch.float64) for x in (mean, log_variance, other, other_log)]
    one, two = (Normal(m, torch.exp(v / 2)) for m, v in (numbers[:2], numbers[2:]))
    torch.testing.assert_close(normal_divergence(*numbers), kl_divergence(one, two), rtol=1e-8, atol=1e-10)


def shares_of_levels(levels: int, scale: float, mean: float, sd: float) -> list[float]:
    """Equation 13 of Ho et al. for so many values from -s to s: bins of half a spacing, open at the ends."""
    values = np.linspace(-scale, scale, levels)
    edges = [-np.inf, *(values[1:] + values[:-1]) / 2, np.inf]
    return list(np.diff(norm.cdf(edges, mean, sd)))


@given(st.floats(-1, 1), st.floats(-6, 2), st.floats(0.05, 1))
def test_the_likelihood_is_that_of_two_levels_and_sums_to_one(
    mean: float, log_variance: float, scale: float
) -> None:
    x0, m, v = (torch.tensor(x, dtype=torch.float64) for x in ([-scale, scale], mean, log_variance))
    found = mask_log_likelihood(x0, m, v).exp()
    expected = shares_of_levels(2, scale, mean, math.exp(log_variance / 2))
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-12)
    assert float(found.sum()) == pytest.approx(1, abs=1e-12)


def test_the_likelihood_is_the_share_of_draws_on_the_masks_side() -> None:
    draws = np.random.default_rng(0).normal(0.04, 0.1, 200_000)
    found = mask_log_likelihood(torch.tensor(0.3), torch.tensor(0.04), torch.tensor(2 * math.log(0.1))).exp()
    assert float(found) == pytest.approx((draws > 0).mean(), abs=5 * 0.5 / math.sqrt(200_000))


def test_a_likelihood_far_in_the_tail_is_finite_and_still_has_a_gradient() -> None:
    mean = torch.tensor([-3.0, -0.5, 3.0], requires_grad=True)
    found = mask_log_likelihood(torch.tensor(0.1), mean, torch.tensor(-10.0))
    found.sum().backward()
    expected = norm.logcdf(np.array([-3.0, -0.5, 3.0]) * math.e**5)
    np.testing.assert_allclose(found.detach(), expected, rtol=1e-4)
    assert mean.grad is not None
    assert mean.grad.isfinite().all()
    assert (mean.grad[:2] > 0).all()


def test_a_term_is_the_divergence_from_the_posterior_in_bits_a_pixel() -> None:
    posterior = Normal(STEP.mean(X0, X_T, T), (STEP.log_variance(T) / 2).exp().expand(X0.shape))
    model = Normal(STEP.mean(ESTIMATE, X_T, T), (STEP.learned_log_variance(OUTPUT, T) / 2).exp())
    expected = kl_divergence(posterior, model).mean(dim=(1, 2, 3)) / math.log(2)
    torch.testing.assert_close(bound_term(STEP, X0, X_T, ESTIMATE, OUTPUT, T), expected, rtol=1e-4, atol=1e-5)


def test_the_first_term_is_the_likelihood_of_the_mask_in_bits_a_pixel() -> None:
    """At t = 0 the mean is the estimate itself; v = 1 gives it the variance beta_0."""
    zeros, sd = torch.zeros(3, dtype=torch.int64), math.sqrt(PROCESS.beta_start)
    estimate = 0.05 * ESTIMATE
    expected = -norm.logcdf(X0.sign().numpy() * estimate.numpy() / sd).mean(axis=(1, 2, 3)) / math.log(2)
    found = bound_term(STEP, X0, X_T, estimate, torch.ones_like(X0), zeros)
    np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_nothing_is_lost_by_the_true_mask_and_the_posteriors_variance() -> None:
    found = bound_term(STEP, X0, X_T, X0, -torch.ones_like(X0), T)
    torch.testing.assert_close(found, torch.zeros(3), rtol=0, atol=1e-6)


def test_only_the_variance_learns_and_its_optimum_is_the_closed_form() -> None:
    """The least divergence at a mean off by d is that of the variance beta-tilde + d^2."""
    error = STEP.mean(X0, X_T, T) - STEP.mean(ESTIMATE, X_T, T)
    least, most = (STEP.learned_log_variance(torch.full_like(X0, v), T) for v in (-1.0, 1.0))
    best = torch.log(least.exp() + error.square())
    output = (2 * (best - least) / (most - least) - 1).requires_grad_()
    estimate = ESTIMATE.clone().requires_grad_()
    off = (output.detach() + 0.5).requires_grad_()
    for given_output in (output, off):
        bound_term(STEP, X0, X_T, estimate, given_output, T).sum().backward()
    assert estimate.grad is None
    assert output.grad is not None
    assert off.grad is not None
    assert float(output.grad.abs().max()) < 1e-4 * float(off.grad.abs().max())
    assert (off.grad > 0).all()
