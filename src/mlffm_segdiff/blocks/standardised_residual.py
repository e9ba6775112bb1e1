"""The residual block of diffusion U-Nets with weight standardisation."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mlffm_segdiff.blocks.weight_standardised import WeightStandardisedConv3x3


class StandardisedResidualBlock(nn.Module):
    """RB(h, t) of DermoSegDiff: shortcut + two times convolution, normalisation, SiLU (post-activation).

    The first normalisation is scaled by 1 + s and shifted, with s and the shift linear in the time
    embedding. The shortcut is a 1 x 1 convolution where the number of channels changes.
    """

    def __init__(self, channels_in: int, channels_out: int, time_width: int, groups: int) -> None:
        super().__init__()
        self.modulation = nn.Linear(time_width, 2 * channels_out)
        self.conv1 = WeightStandardisedConv3x3(channels_in, channels_out)
        self.norm1 = nn.GroupNorm(groups, channels_out)
        self.conv2 = WeightStandardisedConv3x3(channels_out, channels_out)
        self.norm2 = nn.GroupNorm(groups, channels_out)
        self.shortcut = (
            nn.Identity() if channels_in == channels_out else nn.Conv2d(channels_in, channels_out, 1)
        )

    def forward(self, h: Tensor, time: Tensor) -> Tensor:
        """Map B C_in H W to B C_out H W; ``time`` is the activated embedding, B x time_width."""
        scale, shift = self.modulation(time)[:, :, None, None].chunk(2, dim=1)
        r = F.silu(torch.addcmul(shift, self.norm1(self.conv1(h)), 1 + scale))
        out: Tensor = F.silu(self.norm2(self.conv2(r))) + self.shortcut(h)
        return out
