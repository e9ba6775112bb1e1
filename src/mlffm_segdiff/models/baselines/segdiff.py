"""The denoiser of SegDiff (Amit et al. 2021, arXiv:2112.00390): the image is added to the noisy mask.

After the authors' code, github.com/tomeramit/SegDiff: 100 linear steps, the squared error of the noise, the
mean of 9 samples, each step with noise of variance beta_t and its estimate not clipped. Ours samples with the
posterior's variance and clips (see ``diffusion.sampler``). Theirs is optimised by AdamW at 1e-4 with weights
averaged at 0.9999; the recipe is optimised as isic2018 is. The encoder's blocks are RRDBs (Wang et al. 2018,
arXiv:1809.00219).
"""

from collections.abc import Sequence
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from mlffm_segdiff.config.section import Depth
from mlffm_segdiff.models.baselines.improved_diffusion import (
    GROUPS,
    ImprovedDiffusionConfig,
    ImprovedDiffusionUNet,
    Widths,
)
from mlffm_segdiff.models.registry import register_model

RESIDUAL_SCALE = 0.2
LEAK = 0.2


@register_model("segdiff")
class SegDiffConfig(ImprovedDiffusionConfig):
    """The recipe section of SegDiff. Defaults: the authors' for 128 x 128 pixels, of their Cityscapes runs.

    Attributes:
        rrdb_blocks: Blocks of the image's encoder; the authors take 12 on MoNuSeg and 6 on Vaihingen, both at
            256 x 256.
        rrdb_width: Channels of these blocks.
    """

    citation = "Amit et al. 2021, arXiv:2112.00390"

    widths: Widths = (128, 128, 256, 256, 512, 512)
    attention: tuple[bool, ...] = (False, False, False, True, True, False)
    blocks: Depth = 3
    heads: Depth = 4
    rrdb_blocks: Depth = 15
    rrdb_width: Annotated[int, Field(gt=0, le=8192, multiple_of=2)] = 64

    def build(self, mask_channels: int) -> "SegDiff":
        """Build the denoiser with fresh weights."""
        return SegDiff(**self.arguments, mask_channels=mask_channels)


class ResidualDenseBlock(nn.Module):
    """h + 0.2 * d: d is the last of five convolutions, each of which reads h and all outputs before its own.

    Args:
        width: Channels of the input and the output.
        growth: Channels that each of the first four convolutions adds; a leaky ReLU (0.2) follows these.
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
    """Features at the image's resolution: RRDBs with a shortcut around them, then two convolutions.

    It is the generator of Wang et al. without its upsampling.
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


class SegDiff(nn.Module):
    """F(x_t) + G(I), refined by a U-Net: F is its stem and G an encoder of RRDBs at full resolution.

    G depends on neither mask nor timestep. The dropout of some of the authors' runs is left out. H and W must
    be multiples of ``total_stride``. See Amit et al. 2021, arXiv:2112.00390.

    Args:
        widths: Channels of each level, finest first, multiples of ``groups`` and of ``heads``.
        attention: Whether each level has self-attention.
        blocks: Residual blocks of each level.
        heads: Heads of the attention.
        rrdb_blocks: Residual-in-residual dense blocks of the image's encoder.
        rrdb_width: Channels of these blocks, even.
        mask_channels: Channels of the noisy mask; 2 with self-conditioning.
        groups: Groups of the normalisations.
    """

    def __init__(
        self,
        widths: Sequence[int],
        attention: Sequence[bool],
        blocks: int,
        heads: int,
        rrdb_blocks: int,
        rrdb_width: int,
        mask_channels: int = 1,
        groups: int = GROUPS,
    ) -> None:
        super().__init__()
        self.unet = ImprovedDiffusionUNet(widths, attention, blocks, heads, mask_channels, groups)
        self.image_encoder = RRDBEncoder(widths[0], rrdb_blocks, rrdb_width, rrdb_width // 2)
        self.total_stride = self.unet.total_stride

    def encode(self, image: Tensor) -> list[Tensor]:
        """Map an image (B3HW in [-1, 1]) to G(I), B widths[0] H W."""
        return [self.image_encoder(image)]

    def denoise(self, noisy_mask: Tensor, t: Tensor, features: Sequence[Tensor]) -> Tensor:
        """Map x_t (B mask_channels H W), timesteps t (B) and G(I) to the noise in x_t (B1HW)."""
        (encoded,) = features
        return self.unet.from_stem(self.unet.conv_in(noisy_mask) + encoded, self.unet.embed(t))

    def forward(self, image: Tensor, noisy_mask: Tensor, t: Tensor) -> Tensor:
        """Encode and denoise once: B3HW, B mask_channels H W and B to B1HW."""
        return self.denoise(noisy_mask, t, self.encode(image))
