"""One reverse step of the process: its true posterior, and a variance that a network learns."""

import torch
from torch import Tensor, nn

from mlffm_segdiff.diffusion.process import MaskDiffusion


class ReverseStep(nn.Module):
    """q(x_{t-1} | x_t, x_0), and a log variance between its own and that of beta (Nichol & Dhariwal 2021).

    Times t: B, in 0 .. T - 1. Maps: B1HW. At t = 0 the posterior has no variance, and takes that of t = 1
    as the authors' code does; so the process needs two times or more.
    """

    def __init__(self, process: MaskDiffusion) -> None:
        super().__init__()
        beta = process.betas().double()
        alpha_bar = torch.cumprod(1 - beta, dim=0)
        before = torch.cat([torch.ones_like(alpha_bar[:1]), alpha_bar[:-1]])
        variance = beta * (1 - before) / (1 - alpha_bar)
        tables = {
            "x0_share": beta * before.sqrt() / (1 - alpha_bar),
            "x_t_share": (1 - beta).sqrt() * (1 - before) / (1 - alpha_bar),
            "least_log_variance": torch.cat([variance[1:2], variance[1:]]).log(),
            "most_log_variance": beta.log(),
        }
        for name, table in tables.items():
            self.register_buffer(name, table.float(), persistent=False)

    def mean(self, x0: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """Return the mean of x_{t-1} (equation 11); x0 may be an estimate."""
        return self._at("x0_share", t) * x0 + self._at("x_t_share", t) * x_t

    def log_variance(self, t: Tensor) -> Tensor:
        """Return log beta-tilde_t (B111), of the posterior's variance (equation 10)."""
        return self._at("least_log_variance", t)

    def learned_log_variance(self, output: Tensor, t: Tensor) -> Tensor:
        """Return v log beta_t + (1 - v) log beta-tilde_t (equation 15), v = (output + 1) / 2, not bounded."""
        v = (output + 1) / 2
        return v * self._at("most_log_variance", t) + (1 - v) * self._at("least_log_variance", t)

    def _at(self, table: str, t: Tensor) -> Tensor:
        values: Tensor = getattr(self, table)
        return values[t].view(-1, 1, 1, 1)
