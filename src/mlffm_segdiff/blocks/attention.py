"""Attention among the pixels of a feature map, with all channels normalised first and a shortcut around."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SelfAttention(nn.Module):
    """h + Conv1x1(attention(GN(h))): scaled dot products between all pairs of pixels (Vaswani et al. 2017).

    GN has one group. Time and memory grow with the square of the number of pixels.
    """

    def __init__(self, channels: int, heads: int = 4, head_width: int = 32) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(1, channels)
        self.query_key_value = nn.Conv2d(channels, 3 * heads * head_width, 1, bias=False)
        self.out = nn.Conv2d(heads * head_width, channels, 1)

    def forward(self, h: Tensor) -> Tensor:
        """Map B C H W to the same shape."""
        q, k, v = split_heads(self.query_key_value(self.norm(h)), self.heads)
        attended = F.scaled_dot_product_attention(q.mT, k.mT, v.mT).mT
        out: Tensor = h + self.out(merge_heads(attended, h))
        return out


class LinearAttention(nn.Module):
    """h + GN(Conv1x1(attention(GN(h)))), with cost linear in the number of pixels (Shen et al. 2021).

    arXiv:1812.01243. Queries are softmaxed over the channels of a head and keys over the pixels, so that the
    product of keys and values, head_width x head_width, can be formed first. Both GN have one group.
    """

    def __init__(self, channels: int, heads: int = 4, head_width: int = 32) -> None:
        super().__init__()
        self.heads = heads
        self.scale = head_width**-0.5
        self.norm = nn.GroupNorm(1, channels)
        self.query_key_value = nn.Conv2d(channels, 3 * heads * head_width, 1, bias=False)
        self.out = nn.Conv2d(heads * head_width, channels, 1)
        self.out_norm = nn.GroupNorm(1, channels)

    def forward(self, h: Tensor) -> Tensor:
        """Map B C H W to the same shape."""
        q, k, v = split_heads(self.query_key_value(self.norm(h)), self.heads)
        context = torch.softmax(k, dim=-1) @ v.mT
        attended = context.mT @ (self.scale * torch.softmax(q, dim=-2))
        out: Tensor = h + self.out_norm(self.out(merge_heads(attended, h)))
        return out


def split_heads(query_key_value: Tensor, heads: int) -> tuple[Tensor, Tensor, Tensor]:
    """Split stacked queries, keys and values (B 3*heads*D H W) into three of B heads D H*W."""
    batch, channels, height, width = query_key_value.shape
    stacked = query_key_value.reshape(batch, 3, heads, channels // (3 * heads), height * width)
    q, k, v = stacked.unbind(1)
    return q, k, v


def merge_heads(attended: Tensor, like: Tensor) -> Tensor:
    """Bring B heads D H*W back to a feature map B heads*D H W with the H and W of ``like``."""
    batch, heads, head_width, _ = attended.shape
    return attended.reshape(batch, heads * head_width, like.shape[2], like.shape[3])
