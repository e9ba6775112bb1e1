"""Prediction targets of a denoiser: the mask, the noise or the velocity."""

from typing import Protocol

import torch
from torch import Tensor, nn

from mlffm_segdiff.data.batch import Batch
from mlffm_segdiff.diffusion.process import velocity
from mlffm_segdiff.losses.mask_loss import MaskLoss
from mlffm_segdiff.losses.region import weighted_squared_error
from mlffm_segdiff.segmenters.whole_batch import whole_loss


class Objective(Protocol):
    """The meaning of a denoiser's output (B1HW): how it is trained, and which mask it estimates."""

    def loss(self, output: Tensor, batch: Batch, noise: Tensor, alpha_bar: Tensor, weight: Tensor) -> Tensor:
        """Compute the training loss of an output.

        Args:
            output: Network output, B1HW.
            batch: Batch whose masks were noised.
            noise: The noise in x_t, B1HW.
            alpha_bar: Signal share at each row's timestep, B111.
            weight: Per-pixel weight, broadcasts to B1HW.

        Returns:
            A scalar.
        """

    def x0(self, output: Tensor, x_t: Tensor, alpha_bar: Tensor) -> Tensor:
        """Convert an output at x_t (B1HW) to the estimated scaled mask (B1HW), not clipped."""


class X0(nn.Module):
    """The output is the mask's logit: x0 = s (2 sigmoid(logit) - 1), with s the mask scale.

    It is a module, so that a loss with parameters or buffers is trained, moved and saved with the network.
    """

    def __init__(self, mask_loss: MaskLoss, mask_scale: float) -> None:
        super().__init__()
        self.mask_loss = mask_loss
        self.mask_scale = mask_scale

    def loss(self, output: Tensor, batch: Batch, noise: Tensor, alpha_bar: Tensor, weight: Tensor) -> Tensor:  # noqa: ARG002
        """Compute the region loss of the logit; see `Objective`."""
        return whole_loss(self.mask_loss, batch.replica, output, batch.mask, batch.distance, weight)

    def x0(self, output: Tensor, x_t: Tensor, alpha_bar: Tensor) -> Tensor:  # noqa: ARG002
        """Return s tanh(logit / 2), which is s (2 sigmoid(logit) - 1)."""
        return self.mask_scale * torch.tanh(output / 2)


class Epsilon:
    """The output is the noise in x_t (Ho et al. 2020)."""

    def loss(self, output: Tensor, batch: Batch, noise: Tensor, alpha_bar: Tensor, weight: Tensor) -> Tensor:  # noqa: ARG002
        """Compute the weighted squared error of the noise (Ho et al. 2020, eq. 14); see `Objective`."""
        return weighted_squared_error(output, noise, weight)

    def x0(self, output: Tensor, x_t: Tensor, alpha_bar: Tensor) -> Tensor:
        """Solve x_t = sqrt(abar) x0 + sqrt(1 - abar) noise for x0."""
        return (x_t - (1 - alpha_bar).sqrt() * output) / alpha_bar.sqrt()


class V:
    """The output is the velocity v = sqrt(abar) noise - sqrt(1 - abar) x0 (Salimans & Ho 2022)."""

    def __init__(self, mask_scale: float) -> None:
        self.mask_scale = mask_scale

    def loss(self, output: Tensor, batch: Batch, noise: Tensor, alpha_bar: Tensor, weight: Tensor) -> Tensor:
        """Compute the weighted squared error of the velocity; see `Objective`."""
        target = velocity(self.mask_scale * batch.mask, noise, alpha_bar)
        return weighted_squared_error(output, target, weight)

    def x0(self, output: Tensor, x_t: Tensor, alpha_bar: Tensor) -> Tensor:
        """Return sqrt(abar) x_t - sqrt(1 - abar) v."""
        return alpha_bar.sqrt() * x_t - (1 - alpha_bar).sqrt() * output
