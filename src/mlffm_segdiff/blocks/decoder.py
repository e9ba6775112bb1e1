"""The way up of a U-Net whose skips are added."""

from collections.abc import Sequence

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
