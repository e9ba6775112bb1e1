"""The residual block both paths are made of."""

import torch
from torch import Tensor, nn


def group_norm(channels: int) -> nn.GroupNorm:
    """Group normalisation (Wu & He 2018) with eight groups, or the most that divide the channels."""
    return nn.GroupNorm(max(g for g in range(1, 9) if channels % g == 0), channels)


class ResidualBlock(nn.Module):
    """RB(h, t): two 3 x 3 convolutions and a shortcut (He et al. 2016, pre-activation).

    With ``time_width`` the second normalisation is scaled and shifted by the time embedding (Dhariwal &
    Nichol 2021, AdaGN); without, the block does not know the time. The last convolution starts at zero,
    so a new block is its shortcut.
    """

    def __init__(self, channels_in: int, channels_out: int, time_width: int = 0) -> None:
        super().__init__()
        self.norm1 = group_norm(channels_in)
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, padding=1)
        self.modulation = nn.Linear(time_width, 2 * channels_out) if time_width else None
        self.norm2 = group_norm(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1)
        self.shortcut = (
            nn.Identity() if channels_in == channels_out else nn.Conv2d(channels_in, channels_out, 1)
        )
        self.activation = nn.SiLU()
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)  # type: ignore[arg-type]

    def forward(self, h: Tensor, time: Tensor | None = None) -> Tensor:
        """Map B C_in H W to B C_out H W; ``time`` is the embedding, B x time_width."""
        r = self.conv1(self.activation(self.norm1(h)))
        r = self.norm2(r)
        if self.modulation is not None:
            scale, shift = self.modulation(time)[:, :, None, None].chunk(2, dim=1)
            r = torch.addcmul(shift, r, 1 + scale)
        out: Tensor = self.shortcut(h) + self.conv2(self.activation(r))
        return out
