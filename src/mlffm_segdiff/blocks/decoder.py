"""The ways up of U-Nets: with skips that are added, and with skips that are concatenated."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def double(h: Tensor) -> Tensor:
    """Return h (B C H W) at twice the resolution, bilinear."""
    return F.interpolate(h, scale_factor=2.0, mode="bilinear", align_corners=False)


def decode_skips(
    skips: Sequence[Tensor], projections: nn.ModuleList, blocks: nn.ModuleList, time: Tensor
) -> Tensor:
    """Return the finest features: from the deepest skip up, level by level projected, doubled, plus the skip.

    skips: B C_l H/2^l W/2^l, finest first. projections, blocks: one a level but the deepest, finest first;
    C_{l+1} to C_l channels, and the level's residual block, which knows the time embedding.
    """
    *skips, h = skips
    for number in reversed(range(len(skips))):
        h = blocks[number](double(projections[number](h)) + skips[number], time)
    return h


class ConcatBlock(nn.Module):
    """Doubles coarse features, concatenates the skips, and applies two 3 x 3 convolutions.

    Each convolution is followed by batch normalisation and ReLU (Ronneberger et al. 2015, with the
    normalisation of Ioffe & Szegedy 2015).

    Args:
        coarse_width: Channels of the coarse features.
        skip_width: Channels of all skips together.
        width: Channels of the output.
    """

    def __init__(self, coarse_width: int, skip_width: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(
                layer
                for channels in (coarse_width + skip_width, width)
                for layer in (
                    nn.Conv2d(channels, width, 3, padding=1, bias=False),
                    nn.BatchNorm2d(width),
                    nn.ReLU(inplace=True),
                )
            )
        )

    def forward(self, coarse: Tensor, skips: Sequence[Tensor]) -> Tensor:
        """Map B C_coarse H W, and skips of B C_s 2H 2W, to B width 2H 2W."""
        merged: Tensor = self.layers(torch.cat([double(coarse), *skips], dim=1))
        return merged
