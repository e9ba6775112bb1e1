"""Per-pixel loss weights that favour the boundary, by name interchangeable."""

from typing import Protocol

import torch
from torch import Tensor


class BoundaryWeight(Protocol):
    """A loss weight for each pixel, from the signed distance to the contour and the diffusion time."""

    def __call__(self, distance: Tensor, alpha_bar: Tensor, time_share: Tensor) -> Tensor:
        """Return weights B1HW (or what broadcasts to it).

        distance: B1HW, signed pixels to the contour, negative inside. alpha_bar: B, signal share at t.
        time_share: B, t / T in [0, 1].
        """


def uniform_weight(distance: Tensor, alpha_bar: Tensor, time_share: Tensor) -> Tensor:  # noqa: ARG001
    """Return 1 for every pixel and time."""
    return torch.ones_like(distance[:, :, :1, :1])


def band_weight(distance: Tensor, alpha_bar: Tensor, gain: float, width: float) -> Tensor:
    """Per-pixel loss weight (B1HW) that peaks on the contour and grows as the noise falls.

    distance: B1HW, pixels to the nearest contour. alpha_bar: B, signal share at t.
    docs/METHOD.md; compare Bozorgpour et al. 2023, eq. 8.
    """
    band = torch.exp(-distance.square() / (2 * width**2))
    return 1 + gain * alpha_bar.view(-1, 1, 1, 1) * band


def dermosegdiff_weight(distance: Tensor, time_share: Tensor, gamma: float) -> Tensor:
    """Return DermoSegDiff's W(t) (B1HW, in [0, 1]): nearness to the contour, min-max scaled, to a power.

    The power is (gamma (1 - t/T))^gamma: all ones at t = T, sharpest on the contour at t = 0. A lesion of at
    most 1 % of the image weighs 1 everywhere. Bozorgpour et al. 2023, section 2.1; distances are exact here
    and to the contour between the pixels, where theirs are to the pixels of a Canny edge.
    """
    nearness = -distance.abs()
    low, high = nearness.amin(dim=(2, 3), keepdim=True), nearness.amax(dim=(2, 3), keepdim=True)
    scaled = (nearness - low) / (high - low).clamp(min=1e-6)
    power = (gamma * (1 - time_share.view(-1, 1, 1, 1))) ** gamma
    small = (distance < 0).float().mean(dim=(2, 3), keepdim=True) <= 0.01
    return torch.where(small, torch.ones_like(scaled), scaled**power)


class BandWeight:
    """``band_weight`` with its gain (alpha) and width (s, in pixels) fixed."""

    def __init__(self, gain: float, width: float) -> None:
        self.gain = gain
        self.width = width

    def __call__(self, distance: Tensor, alpha_bar: Tensor, time_share: Tensor) -> Tensor:  # noqa: ARG002
        """Return weights B1HW, at least 1."""
        return band_weight(distance, alpha_bar, self.gain, self.width)


class DermoSegDiffWeight:
    """``dermosegdiff_weight`` with its sharpness gamma fixed."""

    def __init__(self, gamma: float) -> None:
        self.gamma = gamma

    def __call__(self, distance: Tensor, alpha_bar: Tensor, time_share: Tensor) -> Tensor:  # noqa: ARG002
        """Return weights B1HW in [0, 1]."""
        return dermosegdiff_weight(distance, time_share, self.gamma)
