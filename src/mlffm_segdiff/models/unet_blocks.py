"""Blocks that several U-Nets share: the residual block, the time embedding, and decoders."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def group_norm(channels: int) -> nn.GroupNorm:
    """Group normalisation (Wu & He 2018) with eight groups, or the most that divide the channels."""
    return nn.GroupNorm(max(g for g in range(1, 9) if channels % g == 0), channels)


class ResidualBlock(nn.Module):
    """RB(h, t): two 3 x 3 convolutions and a shortcut (He et al. 2016, pre-activation).

    The second normalisation is scaled and shifted by the time embedding (AdaGN; Dhariwal & Nichol 2021,
    arXiv:2105.05233). The last convolution starts at zero, so a new block is its shortcut.

    Args:
        channels_in: Channels of the input.
        channels_out: Channels of the output; the shortcut is a 1 x 1 convolution where they differ.
        time_width: Channels of the time embedding; 0 for a block that does not depend on the timestep.
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
        """Map B C_in H W to B C_out H W; ``time`` is the time embedding, B x time_width."""
        r = self.conv1(self.activation(self.norm1(h)))
        r = self.norm2(r)
        if self.modulation is not None:
            scale, shift = self.modulation(time)[:, :, None, None].chunk(2, dim=1)
            r = torch.addcmul(shift, r, 1 + scale)
        out: Tensor = self.shortcut(h) + self.conv2(self.activation(r))
        return out


def timestep_angles(t: Tensor, count: int, shift: int = 0) -> Tensor:
    """Compute the angles t 10000^(-j / (count - shift)) of sinusoids (Vaswani et al. 2017, section 3.5).

    Args:
        t: Timesteps, B.
        count: Number of angles for each timestep.
        shift: 0, or 1 so that the last frequency is exactly 1 / 10000.

    Returns:
        B x count, float32.
    """
    exponents = -math.log(10000) * torch.arange(count, device=t.device, dtype=torch.float32) / (count - shift)
    return t[:, None].float() * torch.exp(exponents)


class TimestepPerceptron(nn.Module):
    """Two linear layers; maps sinusoids (B x inputs, float32) to B x width in the weights' format."""

    def __init__(self, inputs: int, width: int, activation: nn.Module) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(inputs, width)
        self.activation = activation
        self.linear_2 = nn.Linear(width, width)

    def forward(self, sinusoids: Tensor) -> Tensor:
        """Map sinusoids to an embedding."""
        hidden = self.activation(self.linear_1(sinusoids.to(self.linear_1.weight.dtype)))
        embedded: Tensor = self.linear_2(hidden)
        return embedded


class TimeEmbedding(nn.Module):
    """Sinusoids of t and a two-layer perceptron (Ho et al. 2020, arXiv:2006.11239).

    Args:
        width: Channels of the embedding, a multiple of 4.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.perceptron = TimestepPerceptron(width // 2, width, nn.SiLU())
        self.activation = nn.SiLU()

    def sinusoids(self, t: Tensor) -> Tensor:
        """Map timesteps (B) to cosines, then sines (B x width/2)."""
        angles = timestep_angles(t, self.width // 4)
        return torch.cat([angles.cos(), angles.sin()], dim=1)

    def forward(self, t: Tensor, shift: Tensor | None = None) -> Tensor:
        """Embed timesteps.

        Args:
            t: Timesteps, B.
            shift: Added to the embedding before the activation, B x width.

        Returns:
            The embedding, B x width, activated once for all blocks.
        """
        embedded = self.perceptron(self.sinusoids(t))
        activated: Tensor = self.activation(embedded if shift is None else embedded + shift)
        return activated


def double(h: Tensor) -> Tensor:
    """Upsample h (B C H W) to twice its resolution, bilinearly."""
    return F.interpolate(h, scale_factor=2.0, mode="bilinear", align_corners=False)


def decode_skips(
    skips: Sequence[Tensor], projections: nn.ModuleList, blocks: nn.ModuleList, time: Tensor
) -> Tensor:
    """Decode skips from the coarsest to the finest: project, double, add the skip, apply the block.

    Args:
        skips: Skips, B C_l H/2^l W/2^l each, finest first.
        projections: Projections from C_{l+1} to C_l channels, one for each level but the coarsest, finest
            first.
        blocks: Residual blocks that read the time embedding, likewise.
        time: The time embedding, B x time width.

    Returns:
        The finest features, of the shape of the first skip.
    """
    *skips, h = skips
    for number in reversed(range(len(skips))):
        h = blocks[number](double(projections[number](h)) + skips[number], time)
    return h


class ConcatBlock(nn.Module):
    """Double coarse features, concatenate the skips, and apply two 3 x 3 convolutions.

    Each convolution is followed by batch normalisation and ReLU (Ronneberger et al. 2015, with the
    normalisation of Ioffe & Szegedy 2015).

    Args:
        coarse_width: Channels of the coarse features.
        skip_width: Channels of all skips together.
        width: Channels of the output.
    """

    def __init__(self, coarse_width: int, skip_width: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(
                layer
                for channels in (coarse_width + skip_width, width)
                for layer in (
                    nn.Conv2d(channels, width, 3, padding=1, bias=False),
                    nn.BatchNorm2d(width),
                    nn.ReLU(inplace=True),
                )
            )
        )

    def forward(self, coarse: Tensor, skips: Sequence[Tensor]) -> Tensor:
        """Map coarse features (B C_coarse H W) and skips (B C_s 2H 2W) to B width 2H 2W."""
        merged: Tensor = self.layers(torch.cat([double(coarse), *skips], dim=1))
        return merged
