"""The variational bound that a learned variance is trained by (Nichol & Dhariwal 2021, section 3.1)."""

import math

import torch
from torch import Tensor

from mlffm_segdiff.diffusion.reverse_step import ReverseStep

BOUND_SHARE = 0.001
"""lambda of L_hybrid = L_simple + lambda L_vlb (equation 16)."""


def normal_divergence(
    mean: Tensor, log_variance: Tensor, other: Tensor, other_log_variance: Tensor
) -> Tensor:
    """Return KL(N(mean, e^log_variance) || N(other, e^other_log_variance)) of each element, in nats."""
    ratio = log_variance - other_log_variance
    distance = (mean - other).square() * torch.exp(-other_log_variance)
    return (torch.exp(ratio) - 1 - ratio + distance) / 2


def mask_log_likelihood(x0: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return the log of the share of N(mean, e^log_variance) on x0's side of 0, for each element, in nats.

    It is Ho et al.'s discretised likelihood (2020, equation 13) of data that have two values, not 256:
    a mask is +s or -s, whatever s, so the bins are two and meet halfway, at 0.
    """
    found: Tensor = torch.special.log_ndtr(x0.sign() * mean * torch.exp(-log_variance / 2))
    return found


def bound_term(
    step: ReverseStep, x0: Tensor, x_t: Tensor, estimate: Tensor, output: Tensor, t: Tensor
) -> Tensor:
    """Return each case's term L_t of the bound (B) in bits a pixel; equations 5 and 6.

    estimate: x0-hat, not clipped; no gradient goes to it. output: what the network says of the variance, see
    ``ReverseStep``. Maps B1HW, t B. L_vlb is the sum of the terms over all t.
    """
    mean, log_variance = step.mean(estimate.detach(), x_t, t), step.learned_log_variance(output, t)
    divergence = normal_divergence(step.mean(x0, x_t, t), step.log_variance(t), mean, log_variance)
    first = -mask_log_likelihood(x0, mean, log_variance)
    term = torch.where(t.view(-1, 1, 1, 1) == 0, first, divergence)
    return term.flatten(1).mean(dim=1) / math.log(2)
