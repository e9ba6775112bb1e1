"""Upsampling by a learned transposed convolution that starts as bilinear interpolation."""

import torch
from torch import Tensor, nn


def bilinear_kernel(factor: int) -> Tensor:
    """Return the weights of bilinear upsampling by ``factor``, 2 factor x 2 factor (Long et al. 2015).

    They fall off linearly with the distance to the kernel's centre, in pixels of the coarse map.
    """
    taps = torch.arange(2 * factor) + 0.5
    line = 1 - (taps / factor - 1).abs()
    return line[:, None] * line


class LearnedUpsampling(nn.ConvTranspose2d):
    """Map B1HW to B1 factor*H factor*W, at first by bilinear interpolation.

    Outside the map it sees 0, so that the rim fades until it has learned otherwise. factor: even.
    """

    def __init__(self, factor: int) -> None:
        super().__init__(1, 1, 2 * factor, stride=factor, padding=factor // 2, bias=False)
        with torch.no_grad():
            self.weight.copy_(bilinear_kernel(factor))
