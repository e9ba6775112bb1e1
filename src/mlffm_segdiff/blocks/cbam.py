"""Convolutional block attention (CBAM)."""

import torch
from torch import Tensor, nn


class ChannelAttention(nn.Module):
    """S * sigma(MLP(GAP S) + MLP(GMP S)) (Woo et al. 2018, eq. 2)."""

    def __init__(self, channels: int, reduction: int = 8) -> None:
        super().__init__()
        hidden = max(channels // reduction, 4)
        self.mlp = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels))

    def forward(self, s: Tensor) -> Tensor:
        """Scale each channel of s (B C H W) by its attention in (0, 1)."""
        logits = self.mlp(s.mean(dim=(2, 3))) + self.mlp(s.amax(dim=(2, 3)))
        return s * torch.sigmoid(logits)[:, :, None, None]


class SpatialAttention(nn.Module):
    """A * sigma(Conv7x7[max_c A; mean_c A]) (Woo et al. 2018, eq. 3)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 7, padding=3)

    def forward(self, a: Tensor) -> Tensor:
        """Scale each pixel of a (B C H W) by its attention in (0, 1)."""
        pooled = torch.cat([a.amax(dim=1, keepdim=True), a.mean(dim=1, keepdim=True)], dim=1)
        return a * torch.sigmoid(self.conv(pooled))


class CBAM(nn.Sequential):
    """Channel attention, then spatial attention (Woo et al. 2018)."""

    def __init__(self, channels: int) -> None:
        super().__init__(ChannelAttention(channels), SpatialAttention())
