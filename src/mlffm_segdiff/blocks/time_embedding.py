"""The embedding of the diffusion timestep."""

import math

import torch
from torch import Tensor, nn


def timestep_angles(t: Tensor, count: int, shift: int = 0) -> Tensor:
    """Compute the angles t 10000^(-j / (count - shift)) of sinusoids (Vaswani et al. 2017, section 3.5).

    Args:
        t: Timesteps, B.
        count: Number of angles for each timestep.
        shift: 0, or 1 so that the last frequency is exactly 1 / 10000.

    Returns:
        B x count, float32.
    """
    exponents = -math.log(10000) * torch.arange(count, device=t.device, dtype=torch.float32) / (count - shift)
    return t[:, None].float() * torch.exp(exponents)


class TimestepPerceptron(nn.Module):
    """Two linear layers; maps sinusoids (B x inputs, float32) to B x width in the weights' format."""

    def __init__(self, inputs: int, width: int, activation: nn.Module) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(inputs, width)
        self.activation = activation
        self.linear_2 = nn.Linear(width, width)

    def forward(self, sinusoids: Tensor) -> Tensor:
        """Map sinusoids to an embedding."""
        hidden = self.activation(self.linear_1(sinusoids.to(self.linear_1.weight.dtype)))
        embedded: Tensor = self.linear_2(hidden)
        return embedded


class TimeEmbedding(nn.Module):
    """Sinusoids of t and a two-layer perceptron (Ho et al. 2020); width is a multiple of 4."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.perceptron = TimestepPerceptron(width // 2, width, nn.SiLU())
        self.activation = nn.SiLU()

    def sinusoids(self, t: Tensor) -> Tensor:
        """Map timesteps (B) to cosines, then sines (B x width/2)."""
        angles = timestep_angles(t, self.width // 4)
        return torch.cat([angles.cos(), angles.sin()], dim=1)

    def forward(self, t: Tensor, shift: Tensor | None = None) -> Tensor:
        """Map timesteps (B) to embeddings (B x width), activated once for all blocks; shift: added before."""
        embedded = self.perceptron(self.sinusoids(t))
        activated: Tensor = self.activation(embedded if shift is None else embedded + shift)
        return activated
