"""Residual-in-residual dense blocks (RRDB; Wang et al. 2018, arXiv:1809.00219)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

RESIDUAL_SCALE = 0.2
LEAK = 0.2


class ResidualDenseBlock(nn.Module):
    """h + 0.2 * d: d is the last of five convolutions, each of which reads h and all outputs before its own.

    growth: channels that each of the first four adds; a leaky ReLU (0.2) follows these.
    """

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        outputs = [growth] * 4 + [width]
        self.convs = nn.ModuleList(
            nn.Conv2d(width + number * growth, channels, 3, padding=1)
            for number, channels in enumerate(outputs)
        )

    def forward(self, h: Tensor) -> Tensor:
        """Map B width H W to the same shape."""
        dense = h
        for conv in self.convs[:-1]:
            dense = torch.cat([dense, F.leaky_relu(conv(dense), LEAK)], dim=1)
        out: Tensor = h + RESIDUAL_SCALE * self.convs[-1](dense)
        return out


class RRDB(nn.Module):
    """h + 0.2 * three residual dense blocks of h."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.dense = nn.Sequential(*(ResidualDenseBlock(width, growth) for _ in range(3)))

    def forward(self, h: Tensor) -> Tensor:
        """Map B width H W to the same shape."""
        out: Tensor = h + RESIDUAL_SCALE * self.dense(h)
        return out


class RRDBEncoder(nn.Module):
    """An image's features at its own resolution: RRDBs within one more shortcut, then two convolutions.

    As in the generator of Wang et al., without its upsampling.
    """

    def __init__(self, channels_out: int, blocks: int, width: int, growth: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, width, 3, padding=1)
        self.trunk = nn.Sequential(*(RRDB(width, growth) for _ in range(blocks)))
        self.after_trunk = nn.Conv2d(width, width, 3, padding=1)
        self.before_last = nn.Conv2d(width, width, 3, padding=1)
        self.last = nn.Conv2d(width, channels_out, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        """Map an image (B3HW) to features (B channels_out H W)."""
        h = self.first(image)
        h = h + self.after_trunk(self.trunk(h))
        features: Tensor = self.last(F.leaky_relu(self.before_last(h), LEAK))
        return features
