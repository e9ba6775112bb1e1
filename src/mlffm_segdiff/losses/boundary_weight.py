"""Per-pixel loss weights that emphasise the boundary."""

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from mlffm_segdiff.losses.canny import canny_edge

SMALL_LESION = 0.01


class BoundaryWeight(Protocol):
    """A loss weight for each pixel, from the signed distance to the contour and the timestep."""

    def __call__(self, distance: Tensor, alpha_bar: Tensor, time_share: Tensor) -> Tensor:
        """Compute the weights.

        Args:
            distance: Signed distance to the nearest contour in pixels, B1HW, negative inside.
            alpha_bar: Signal share at the timestep, B.
            time_share: t / T in [0, 1], B.

        Returns:
            Weights that broadcast to B1HW.
        """


def uniform_weight(distance: Tensor, alpha_bar: Tensor, time_share: Tensor) -> Tensor:  # noqa: ARG001
    """Return 1 for every pixel and timestep.

    Args:
        distance: Signed distance to the nearest contour in pixels, B1HW; only its shape and device matter.
        alpha_bar: Signal share at the timestep, B; unused.
        time_share: t / T in [0, 1], B; unused.

    Returns:
        Ones, B111.
    """
    return torch.ones_like(distance[:, :, :1, :1])


def band_weight(distance: Tensor, alpha_bar: Tensor, gain: float, width: float) -> Tensor:
    """Weight pixels near the contour more, and more so as the noise falls.

    See docs/METHOD.md; compare Bozorgpour et al. 2023, eq. 8.

    Args:
        distance: Signed distance to the nearest contour in pixels, B1HW.
        alpha_bar: Signal share at the timestep, B.
        gain: The weight on the contour is 1 + gain * alpha_bar.
        width: Standard deviation of the band in pixels.

    Returns:
        Weights B1HW, at least 1.
    """
    band = torch.exp(-distance.square() / (2 * width**2))
    return 1 + gain * alpha_bar.view(-1, 1, 1, 1) * band


def dermosegdiff_weight(distance: Tensor, time_share: Tensor, gamma: float) -> Tensor:
    """DermoSegDiff's W(t), the nearness to the mask's edge to the power of (gamma (1 - t/T))^gamma.

    All ones in the limit t/T = 1, sharpest on the edge at t = 0 (Bozorgpour et al. 2023, section 2.1, and
    ``calc_boundary_att`` in their code).

    Args:
        distance: Signed distance to the contour, B1HW; only its sign matters.
        time_share: t / T in [0, 1], B.
        gamma: Sharpness.

    Returns:
        Weights B1HW in [0, 1].
    """
    lesions = (distance[:, 0] < 0).cpu().numpy()
    nearness = torch.from_numpy(np.stack([edge_nearness(lesion) for lesion in lesions]))
    power = (gamma * (1 - time_share.view(-1, 1, 1, 1))) ** gamma
    return nearness.unsqueeze(1).to(distance.device) ** power


def edge_nearness(lesion: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return 1 at the edge pixels of a lesion (HW), 0 at the pixel farthest from them, linear in distance.

    All ones for a lesion of at most 1 % of the image, as in DermoSegDiff, and for one without an edge, where
    their code divides 0 by 0. The distance is Euclidean and exact, as in their code.
    """
    edge = canny_edge(lesion)
    if lesion.mean() <= SMALL_LESION or not edge.any():
        return np.ones(lesion.shape, np.float32)
    distance = distance_transform_edt(~edge)
    return np.asarray(1 - distance / max(distance.max(), 1), np.float32)


class BandWeight:
    """`band_weight` with a fixed gain and width.

    Args:
        gain: Gain of the weight on the contour, which is 1 + gain * alpha_bar; at least 0.
        width: Standard deviation of the band in pixels, above 0.
    """

    def __init__(self, gain: float, width: float) -> None:
        self.gain = gain
        self.width = width

    def __call__(self, distance: Tensor, alpha_bar: Tensor, time_share: Tensor) -> Tensor:  # noqa: ARG002
        """Return weights B1HW, at least 1."""
        return band_weight(distance, alpha_bar, self.gain, self.width)


class DermoSegDiffWeight:
    """1 + gain W(t), where W(t) is `dermosegdiff_weight` of a fixed sharpness gamma.

    The weighted mean squared error is then DermoSegDiff's hybrid loss (Bozorgpour et al. 2023,
    section 2.1): the mean squared error plus ``gain`` times the one weighted by W(t).

    Args:
        gain: Weight of the boundary term, at least 0.
        gamma: Sharpness, above 0.
    """

    def __init__(self, gain: float, gamma: float) -> None:
        self.gain = gain
        self.gamma = gamma

    def __call__(self, distance: Tensor, alpha_bar: Tensor, time_share: Tensor) -> Tensor:  # noqa: ARG002
        """Return weights B1HW in [1, 1 + gain]."""
        return 1 + self.gain * dermosegdiff_weight(distance, time_share, self.gamma)
