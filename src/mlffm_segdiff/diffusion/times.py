"""Which times a network is trained at, and how much each then counts."""

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

from mlffm_segdiff.diffusion.process import draw_times

HISTORY = 10
UNIFORM_SHARE = 0.001
CPU = torch.device("cpu")


class TimeSampler(Protocol):
    """Draws times, and may learn from the losses found at them."""

    def draw(self, count: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return times in 0 .. T - 1 and the weights of their losses, both B, by torch's global generator."""

    def observe(self, t: Tensor, losses: Tensor) -> None:
        """Take in the losses, not weighted, of cases at times t; both B."""

    def state(self) -> dict[str, Tensor]:
        """Return what it has learned, for a checkpoint."""

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what ``state`` returned."""


class PowerLawTimes:
    """``draw_times`` with its bias fixed; every loss counts alike. It learns nothing."""

    def __init__(self, train_steps: int, noisy_bias: float = 1.0) -> None:
        self.train_steps = train_steps
        self.noisy_bias = noisy_bias

    def draw(self, count: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return times and weights of 1, both B."""
        t = draw_times(count, self.train_steps, self.noisy_bias, device)
        return t, torch.ones(count, device=device)

    def observe(self, t: Tensor, losses: Tensor) -> None:
        """Do nothing."""

    def state(self) -> dict[str, Tensor]:
        """Return nothing."""
        return {}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Do nothing."""


class ImportanceTimes:
    """Times drawn by p_t ~ sqrt(E[L_t^2]), their losses weighted by 1 / (T p_t).

    E is over the last 10 losses of each t. Until each t has so many, and for a thousandth ever after, times
    are drawn alike. The weights leave the mean loss as it is. Nichol & Dhariwal 2021, equation 18.
    """

    def __init__(self, train_steps: int) -> None:
        self.losses = torch.zeros(train_steps, HISTORY, dtype=torch.float64, device=CPU)
        self.counts = torch.zeros(train_steps, dtype=torch.int64, device=CPU)

    def probabilities(self) -> Tensor:
        """Return p_t (T, float64)."""
        uniform = torch.full_like(self.losses[:, 0], 1 / len(self.losses))
        if int(self.counts.min()) < HISTORY:
            return uniform
        root = self.losses.square().mean(dim=1).sqrt()
        return (1 - UNIFORM_SHARE) * root / root.sum() + UNIFORM_SHARE * uniform

    def draw(self, count: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return times and weights, both B; drawn on the processor, whatever the device."""
        p = self.probabilities()
        t = torch.multinomial(p, count, replacement=True)
        return t.to(device), (1 / (len(p) * p[t])).float().to(device)

    def observe(self, t: Tensor, losses: Tensor) -> None:
        """Put each loss in the place of the oldest one of its time."""
        for time, loss in zip(t.tolist(), losses.tolist(), strict=True):
            self.losses[time, int(self.counts[time]) % HISTORY] = loss
            self.counts[time] += 1

    def state(self) -> dict[str, Tensor]:
        """Return the last losses and how many there were of each time."""
        return {"losses": self.losses, "counts": self.counts}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what ``state`` returned."""
        self.losses, self.counts = state["losses"].clone(), state["counts"].clone()
