"""The bottleneck block of ResNets with weight standardisation and group normalisation."""

import torch.nn.functional as F
from torch import Tensor, nn

from mlffm_segdiff.blocks.weight_standardised import WeightStandardisedConv2d

GROUPS = 32
NORM_EPS = 1e-6


class StandardisedBottleneck(nn.Module):
    """1 x 1, 3 x 3 and 1 x 1 convolution, each normalised, and a shortcut (He et al. 2016; Chen et al. 2021).

    The middle has ``channels_out`` / 4 channels, a multiple of 32, and carries the stride. A ReLU follows the
    first two and the sum. Where shapes change the shortcut is a convolution, normalised channel by channel.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int = 1) -> None:
        super().__init__()
        middle = channels_out // 4
        self.conv1 = WeightStandardisedConv2d(channels_in, middle, 1, bias=False)
        self.norm1 = nn.GroupNorm(GROUPS, middle, eps=NORM_EPS)
        self.conv2 = WeightStandardisedConv2d(middle, middle, 3, stride, bias=False)
        self.norm2 = nn.GroupNorm(GROUPS, middle, eps=NORM_EPS)
        self.conv3 = WeightStandardisedConv2d(middle, channels_out, 1, bias=False)
        self.norm3 = nn.GroupNorm(GROUPS, channels_out, eps=NORM_EPS)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels_out:
            self.shortcut = nn.Sequential(
                WeightStandardisedConv2d(channels_in, channels_out, 1, stride, bias=False),
                nn.GroupNorm(channels_out, channels_out),
            )

    def forward(self, h: Tensor) -> Tensor:
        """Map B C_in H W to B C_out H/stride W/stride, rounded up."""
        r = F.relu(self.norm1(self.conv1(h)))
        r = F.relu(self.norm2(self.conv2(r)))
        return F.relu(self.shortcut(h) + self.norm3(self.conv3(r)))
