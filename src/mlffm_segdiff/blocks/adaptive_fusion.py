"""Adaptive cross-level weights."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mlffm_segdiff.blocks.alignment import resample


class AdaptiveWeights(nn.Module):
    """lambda_{.->l} = softmax_j Conv1x1[u_{1->l}; ..; u_{L->l}] with u_j = Conv1x1(P_j).

    After ASFF (Liu et al. 2019): one weight for each pixel, level and source level.
    """

    def __init__(self, levels: int, width: int, compressed: int = 8) -> None:
        super().__init__()
        self.compress = nn.ModuleList(nn.Conv2d(width, compressed, 1) for _ in range(levels))
        self.weigh = nn.ModuleList(nn.Conv2d(levels * compressed, levels, 1) for _ in range(levels))

    def forward(self, aligned: Sequence[Tensor]) -> list[Tensor]:
        """Map P_1..P_L (B d H_l W_l) to lambda_{.->l} (B L H_l W_l), which sums to 1 over its L channels."""
        compressed = [compress(p) for compress, p in zip(self.compress, aligned, strict=True)]
        sizes = [(p.shape[2], p.shape[3]) for p in aligned]
        return [
            torch.softmax(weigh(torch.cat([resample(u, size) for u in compressed], dim=1)), dim=1)
            for weigh, size in zip(self.weigh, sizes, strict=True)
        ]


class UniformWeights(nn.Module):
    """The same weight, 1 / L, for every level: what adaptive weights are compared with."""

    def forward(self, aligned: Sequence[Tensor]) -> list[Tensor]:
        """Map P_1..P_L (B d H_l W_l) to constant weights (B L H_l W_l)."""
        levels = len(aligned)
        return [
            p.new_full((1, 1, 1, 1), 1 / levels).expand(p.shape[0], levels, p.shape[2], p.shape[3])
            for p in aligned
        ]
