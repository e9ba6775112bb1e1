"""The Multi-Level Feature Fusion Module (MLFFM) on the skip connections."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mlffm_segdiff.blocks.adaptive_fusion import AdaptiveWeights, UniformWeights
from mlffm_segdiff.blocks.alignment import ChannelPool, LateralProjection, resample
from mlffm_segdiff.blocks.cbam import CBAM
from mlffm_segdiff.blocks.residual import group_norm


class MLFFM(nn.Module):
    """S'_l = S_l + Conv3x3(SiLU(GN(sum_j lambda_{j->l} * R_{j->l}))) over skips S_1..S_L (docs/METHOD.md).

    attention: CBAM on each skip, else the skip itself. alignment: a learned lateral projection to ``width``
    channels, else averages of channels. adaptive: a learned weight for each pixel and level, else 1 / L.
    The last convolution starts at zero, so a new module is exactly the identity.
    """

    def __init__(
        self,
        channels: Sequence[int],
        width: int,
        attention: bool = True,
        alignment: bool = True,
        adaptive: bool = True,
    ) -> None:
        super().__init__()
        self.attend = nn.ModuleList(CBAM(c) if attention else nn.Identity() for c in channels)
        self.align = nn.ModuleList(
            LateralProjection(c, width) if alignment else ChannelPool(width) for c in channels
        )
        self.weights = AdaptiveWeights(len(channels), width) if adaptive else UniformWeights()
        self.merge = nn.ModuleList(
            nn.Sequential(group_norm(width), nn.SiLU(), nn.Conv2d(width, c, 3, padding=1)) for c in channels
        )
        for sequence in self.merge:
            last = sequence[-1]  # type: ignore[index]
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(self, skips: Sequence[Tensor]) -> list[Tensor]:
        """Map skips S_1..S_L (B C_l H_l W_l, finest first) to S'_1..S'_L of the same shapes."""
        attended = [attend(s) for attend, s in zip(self.attend, skips, strict=True)]
        aligned = [align(a) for align, a in zip(self.align, attended, strict=True)]
        return [
            skip + merge(fuse(aligned, weights))
            for skip, merge, weights in zip(skips, self.merge, self.weights(aligned), strict=True)
        ]


def fuse(aligned: Sequence[Tensor], weights: Tensor) -> Tensor:
    """Return sum_j lambda_j * R_j (B d H W) for weights lambda (B L H W) and levels P_j (B d H_j W_j)."""
    size = (weights.shape[2], weights.shape[3])
    (first, *others), (weight, *further) = aligned, torch.split(weights, 1, dim=1)
    fused = resample(first, size) * weight
    for p, weight in zip(others, further, strict=True):
        fused = torch.addcmul(fused, resample(p, size), weight)
    return fused
