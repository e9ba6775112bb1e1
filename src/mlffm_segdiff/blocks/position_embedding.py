"""A learned position embedding for grids of any size."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PositionEmbedding(nn.Module):
    """h + E: a learned vector for each cell of a grid x grid map, bilinear between them at other sizes.

    The corners of both maps meet, as where Chen et al. 2021 bring weights to another size.
    """

    def __init__(self, channels: int, grid: int) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.empty(1, channels, grid, grid))
        nn.init.normal_(self.embedding, std=0.02)

    def forward(self, h: Tensor) -> Tensor:
        """Map B C H W to the same shape."""
        size = (h.shape[2], h.shape[3])
        return h + F.interpolate(self.embedding, size=size, mode="bilinear", align_corners=True)
