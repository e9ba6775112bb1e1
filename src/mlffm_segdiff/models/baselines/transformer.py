"""Parts of vision transformers (Dosovitskiy et al. 2021, arXiv:2010.11929)."""

import torch
import torch.nn.functional as F
from monai.networks.blocks.mlp import MLPBlock
from monai.networks.blocks.selfattention import SABlock
from torch import Tensor, nn

TOKEN_NORM_EPS = 1e-6
MLP_RATIO = 4


class PositionEmbedding(nn.Module):
    """h + E: a learned vector for each cell of a grid x grid map, bilinear between them at other sizes.

    Corners are aligned, as where Chen et al. 2021 resize their weights.

    Args:
        channels: Channels of the map.
        grid: Side of the map that the vectors are stored for.
    """

    def __init__(self, channels: int, grid: int) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.empty(1, channels, grid, grid))
        nn.init.normal_(self.embedding, std=0.02)

    def forward(self, h: Tensor) -> Tensor:
        """Map B C H W to the same shape."""
        size = (h.shape[2], h.shape[3])
        return h + F.interpolate(self.embedding, size=size, mode="bilinear", align_corners=True)


class TransformerLayer(nn.Module):
    """Attention among all tokens, then a perceptron, each after a layer norm and with a shortcut.

    Args:
        width: Channels of a token.
        heads: Heads of the attention.
        dropout: Dropout after both layers of the perceptron; attention has none.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=TOKEN_NORM_EPS)
        self.attention = SABlock(width, heads, qkv_bias=True, use_flash_attention=True)
        self.norm2 = nn.LayerNorm(width, eps=TOKEN_NORM_EPS)
        self.perceptron = MLPBlock(width, MLP_RATIO * width, dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map B N width to the same shape."""
        tokens = tokens + self.attention(self.norm1(tokens))
        out: Tensor = tokens + self.perceptron(self.norm2(tokens))
        return out
