"""The denoiser of DermoSegDiff (Bozorgpour et al. 2023, arXiv:2308.02959), the peer of MLFFM-SegDiff.

x is the branch of the noisy mask and g that of the guidance, the image; both read the time embedding.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from mlffm_segdiff.config.model_config import ModelConfig
from mlffm_segdiff.config.section import Depth, Width
from mlffm_segdiff.models.baselines.weight_standardised import WeightStandardisedConv2d
from mlffm_segdiff.models.registry import register_model
from mlffm_segdiff.models.unet_blocks import TimestepPerceptron, timestep_angles

BOTTLENECK_GROUPS = 4


@register_model("dermosegdiff")
class DermoSegDiffConfig(ModelConfig):
    """The recipe section of DermoSegDiff. Defaults are the authors', which give 321,181,377 parameters.

    Attributes:
        dim_x: Channels of the mask's branch at full resolution.
        dim_g: Channels of the image's branch at full resolution.
        x_mults: Multiples of ``dim_x`` at the end of each level, finest first.
        g_mults: Multiples of ``dim_g``, likewise.
        groups: Groups of the normalisations in encoder and decoder; must divide every width.
        head_width: Channels of each of the four heads of every attention.
    """

    contract = "denoiser"
    citation = "Bozorgpour et al. 2023, arXiv:2308.02959"

    dim_x: Width = 128
    dim_g: Width = 64
    x_mults: Annotated[tuple[Depth, ...], Field(min_length=1, max_length=10)] = (1, 2, 3, 4, 5, 6)
    g_mults: tuple[Depth, ...] = (1, 2, 4, 8, 16, 32)
    groups: Depth = 8
    head_width: Width = 32

    @model_validator(mode="after")
    def branches_go_together(self) -> "DermoSegDiffConfig":
        """Refuse branches of unequal depth, and groups that do not divide their widths."""
        if len(self.x_mults) != len(self.g_mults):
            raise ValueError("x_mults and g_mults need one entry for each level")
        if self.dim_x % self.groups or self.dim_g % self.groups:
            raise ValueError(f"groups={self.groups} does not divide dim_x and dim_g")
        if self.dim_x * self.x_mults[-1] % BOTTLENECK_GROUPS:
            raise ValueError(f"the last of x_mults times dim_x is not a multiple of {BOTTLENECK_GROUPS}")
        return self

    def build(self, mask_channels: int) -> "DermoSegDiff":
        """Build the denoiser with fresh weights."""
        return DermoSegDiff(**self.arguments, mask_channels=mask_channels)


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
        out: Tensor = h + self.out(attended.reshape(len(h), -1, *h.shape[2:]))
        return out


class LinearAttention(SelfAttention):
    """h + GN(Conv1x1(attention(GN(h)))), with cost linear in the number of pixels (Shen et al. 2021).

    arXiv:1812.01243. Softmax is over the channels of a head for queries and over the pixels for keys, so that
    keys and values are multiplied first, to head_width x head_width. Both GN have one group.
    """

    def __init__(self, channels: int, heads: int = 4, head_width: int = 32) -> None:
        super().__init__(channels, heads, head_width)
        self.scale = head_width**-0.5
        self.out_norm = nn.GroupNorm(1, channels)

    def forward(self, h: Tensor) -> Tensor:
        """Map B C H W to the same shape."""
        q, k, v = split_heads(self.query_key_value(self.norm(h)), self.heads)
        context = torch.softmax(k, dim=-1) @ v.mT
        attended = context.mT @ (self.scale * torch.softmax(q, dim=-2))
        out: Tensor = h + self.out_norm(self.out(attended.reshape(len(h), -1, *h.shape[2:])))
        return out


def split_heads(query_key_value: Tensor, heads: int) -> tuple[Tensor, Tensor, Tensor]:
    """Split stacked queries, keys and values (B 3*heads*D H W) into three of B heads D H*W."""
    batch, channels, height, width = query_key_value.shape
    q, k, v = query_key_value.reshape(batch, 3, heads, channels // (3 * heads), height * width).unbind(1)
    return q, k, v


class StandardisedResidualBlock(nn.Module):
    """RB(h, t): shortcut + twice convolution, normalisation, SiLU (post-activation).

    The first normalisation is scaled by 1 + s and shifted; s and the shift are linear in the time embedding.
    """

    def __init__(self, channels_in: int, channels_out: int, time_width: int, groups: int) -> None:
        super().__init__()
        self.modulation = nn.Linear(time_width, 2 * channels_out)
        self.conv1 = WeightStandardisedConv2d(channels_in, channels_out, 3)
        self.norm1 = nn.GroupNorm(groups, channels_out)
        self.conv2 = WeightStandardisedConv2d(channels_out, channels_out, 3)
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


class BranchTime(nn.Module):
    """Sinusoids of t (sines, then cosines), two layers with a GELU between, and a SiLU for all blocks."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.perceptron = TimestepPerceptron(dim, 4 * dim, nn.GELU())

    def forward(self, t: Tensor) -> Tensor:
        """Map timesteps (B) to activated embeddings (B x 4 dim)."""
        angles = timestep_angles(t, self.dim // 2, shift=1)
        return F.silu(self.perceptron(torch.cat([angles.sin(), angles.cos()], dim=1)))


class EncoderLevel(nn.Module):
    """One level of both branches: the guidance reads the mask's features, then gates them."""

    def __init__(self, dim_x: int, dim_g: int, time_x: int, time_g: int, groups: int, head: int) -> None:
        super().__init__()
        self.before_x = StandardisedResidualBlock(dim_x, dim_x, time_x, groups)
        self.before_g = StandardisedResidualBlock(dim_g, dim_g, time_g, groups)
        self.merge_g = StandardisedResidualBlock(dim_x + dim_g, dim_g, time_g, groups)
        self.gate = nn.Conv2d(dim_g, dim_x, 1)
        self.after_x = StandardisedResidualBlock(dim_x, dim_x, time_x, groups)
        self.attend_x = LinearAttention(dim_x, head_width=head)
        self.attend_g = LinearAttention(dim_x + dim_g, head_width=head)

    def forward(
        self, x: Tensor, g: Tensor, time_x: Tensor, time_g: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Map x (B dim_x H W) and g (B dim_g H W) to x, the joint g and two skips.

        The joint g and both skips are B (dim_x + dim_g) H W.
        """
        x = self.before_x(x, time_x)
        early = torch.cat([x, self.before_g(g, time_g)], dim=1)
        g = self.merge_g(early, time_g)
        x = self.attend_x(self.after_x(self.gate(g) * x, time_x))
        late = torch.cat([x, g], dim=1)
        return x, self.attend_g(late), early, late


class Bottleneck(nn.Module):
    """Residual block, the sum of full and linear attention, and a residual block on both."""

    def __init__(self, dim_in: int, dim_out: int, time_width: int, head: int) -> None:
        super().__init__()
        self.before = StandardisedResidualBlock(dim_in, dim_out, time_width, BOTTLENECK_GROUPS)
        self.full = SelfAttention(dim_out, head_width=head)
        self.linear = LinearAttention(dim_out, head_width=head)
        self.after = StandardisedResidualBlock(2 * dim_out, dim_out, time_width, BOTTLENECK_GROUPS)

    def forward(self, h: Tensor, time: Tensor) -> Tensor:
        """Map B dim_in H W to B dim_out H W."""
        h = self.before(h, time)
        out: Tensor = self.after(torch.cat([h, self.full(h) + self.linear(h)], dim=1), time)
        return out


class DecoderLevel(nn.Module):
    """Two residual blocks, each after one of the encoder's skips, then linear attention."""

    def __init__(self, dim: int, skip_dim: int, time_width: int, groups: int, head: int) -> None:
        super().__init__()
        self.read_late = StandardisedResidualBlock(dim + skip_dim, dim, time_width, groups)
        self.read_early = StandardisedResidualBlock(dim + skip_dim, dim, time_width, groups)
        self.attend = LinearAttention(dim, head_width=head)

    def forward(self, h: Tensor, early: Tensor, late: Tensor, time: Tensor) -> Tensor:
        """Map h (B dim H W) and skips (B skip_dim H W) to B dim H W."""
        h = self.read_late(torch.cat([h, late], dim=1), time)
        h = self.read_early(torch.cat([h, early], dim=1), time)
        out: Tensor = self.attend(h)
        return out


class DermoSegDiff(nn.Module):
    """Dual-branch U-Net over masks whose image branch reads the noisy mask at each level.

    Level l runs at 1 / 2^l of the resolution; the last one keeps its resolution, so H and W must be multiples
    of ``total_stride`` = 2^(levels - 1). See Bozorgpour et al. 2023, arXiv:2308.02959, and the authors' code.

    Args:
        dim_x: Channels of the mask's branch at full resolution, a multiple of ``groups``.
        dim_g: Channels of the image's branch at full resolution, a multiple of ``groups``.
        x_mults: Multiples of ``dim_x`` at the end of each level, finest first.
        g_mults: Multiples of ``dim_g``, likewise, one for each level.
        groups: Groups of the normalisations in encoder and decoder.
        head_width: Channels of each head of the attention.
        mask_channels: Channels of the noisy mask; 2 with self-conditioning.
    """

    def __init__(
        self,
        dim_x: int,
        dim_g: int,
        x_mults: Sequence[int],
        g_mults: Sequence[int],
        groups: int = 8,
        head_width: int = 32,
        mask_channels: int = 1,
    ) -> None:
        super().__init__()
        dims_x = [dim_x, *(dim_x * m for m in x_mults)]
        dims_g = [dim_g, *(dim_g * m for m in g_mults)]
        steps = list(zip(pairwise(dims_x), pairwise(dims_g), strict=True))
        last = len(steps) - 1
        time_x, time_g = 4 * dim_x, 4 * dim_g
        self.total_stride = 2**last
        self.stem_x = nn.Conv2d(mask_channels, dim_x, 1)
        self.stem_g = nn.Conv2d(3, dim_g, 1)
        self.time_x = BranchTime(dim_x)
        self.time_g = BranchTime(dim_g)
        self.encoder = nn.ModuleList(
            EncoderLevel(x, g, time_x, time_g, groups, head_width) for (x, _), (g, _) in steps
        )
        self.down_x = nn.ModuleList(down(x, x_next, n < last) for n, ((x, x_next), _) in enumerate(steps))
        self.down_g = nn.ModuleList(
            down(x + g, g_next, n < last) for n, ((x, _), (g, g_next)) in enumerate(steps)
        )
        self.bottleneck = Bottleneck(dims_x[-1] + dims_g[-1], dims_x[-1], time_x, head_width)
        self.decoder = nn.ModuleList(
            DecoderLevel(x_next, x + g, time_x, groups, head_width) for (x, x_next), (g, _) in steps
        )
        self.up = nn.ModuleList(up(x_next, x, n > 0) for n, ((x, x_next), _) in enumerate(steps))
        self.last = StandardisedResidualBlock(2 * dim_x + dim_g, dim_x, time_x, groups=1)
        self.noise = nn.Conv2d(dim_x, 1, 1)

    def encode(self, image: Tensor) -> list[Tensor]:
        """Map an image (B3HW in [-1, 1]) to its stem, B dim_g H W; all else depends on the mask."""
        return [self.stem_g(image)]

    def denoise(self, noisy_mask: Tensor, t: Tensor, features: Sequence[Tensor]) -> Tensor:
        """Map x_t (B mask_channels H W), timesteps t (B) and image features to the noise in x_t (B1HW)."""
        (stem_g,) = features
        stem_x = self.stem_x(noisy_mask)
        time_x, time_g = self.time_x(t), self.time_g(t)
        x, g, skips = stem_x, stem_g, []
        for level, down_x, down_g in zip(self.encoder, self.down_x, self.down_g, strict=True):
            x, g, early, late = level(x, g, time_x, time_g)
            skips.append((early, late))
            x, g = down_x(x), down_g(g)
        h = self.bottleneck(torch.cat([x, g], dim=1), time_x)
        for level, up_h, (early, late) in zip(
            reversed(self.decoder), reversed(self.up), reversed(skips), strict=True
        ):
            h = up_h(level(h, early, late, time_x))
        noise: Tensor = self.noise(self.last(torch.cat([h, stem_x, stem_g], dim=1), time_x))
        return noise

    def forward(self, image: Tensor, noisy_mask: Tensor, t: Tensor) -> Tensor:
        """Encode and denoise once: B3HW, B mask_channels H W and B to B1HW."""
        return self.denoise(noisy_mask, t, self.encode(image))


def down(channels_in: int, channels_out: int, half: bool) -> nn.Module:
    """Build the step to the next level: to ``half`` the resolution by pixel-unshuffle, or to the same."""
    if not half:
        return nn.Conv2d(channels_in, channels_out, 3, padding=1)
    return nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(4 * channels_in, channels_out, 1))


def up(channels_in: int, channels_out: int, twice: bool) -> nn.Module:
    """Build the step to the level above: to ``twice`` the resolution by nearest neighbour, or to the same."""
    conv = nn.Conv2d(channels_in, channels_out, 3, padding=1)
    return nn.Sequential(nn.Upsample(scale_factor=2, mode="nearest"), conv) if twice else conv
