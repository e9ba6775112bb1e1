"""TransUNet (Chen et al. 2021, arXiv:2102.04306), from scratch.

After the authors' code, github.com/Beckschen/TransUNet, which starts from weights of ImageNet-21k.
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
from mlffm_segdiff.models.baselines.transformer import TOKEN_NORM_EPS, PositionEmbedding, TransformerLayer
from mlffm_segdiff.models.baselines.weight_standardised import WeightStandardisedConv2d
from mlffm_segdiff.models.registry import register_model

GROUPS = 32
NORM_EPS = 1e-6


@register_model("transunet")
class TransUNetConfig(ModelConfig):
    """The recipe section of TransUNet. The defaults are the paper's R50-ViT-B/16.

    Attributes:
        stem_width: Channels of the ResNet's first convolution.
        blocks: Bottlenecks of its three stages.
        token_width: Channels of a token.
        layers: Layers of the transformer.
        heads: Heads of its attention.
        decoder_widths: Channels at 1/8, 1/4, 1/2 and the full resolution.
        grid: Tokens along a side that positions are stored for; in the paper 224 / 16.
        dropout: Dropout of the transformer.
    """

    citation = "Chen et al. 2021, arXiv:2102.04306"

    stem_width: Annotated[int, Field(gt=0, le=1024, multiple_of=GROUPS)] = 64
    blocks: tuple[Depth, Depth, Depth] = (3, 4, 9)
    token_width: Width = 768
    layers: Depth = 12
    heads: Depth = 12
    decoder_widths: tuple[Width, Width, Width, Width] = (256, 128, 64, 16)
    grid: Width = 14
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1

    @model_validator(mode="after")
    def heads_share_the_tokens(self) -> "TransUNetConfig":
        """Refuse heads that do not divide the token's channels."""
        if self.token_width % self.heads:
            raise ValueError(f"token_width must be a multiple of heads={self.heads}")
        return self

    def build(self, mask_channels: int) -> "TransUNet":
        """Build the network with fresh weights."""
        return TransUNet(**self.arguments)


class StandardisedBottleneck(nn.Module):
    """1 x 1, 3 x 3 and 1 x 1 convolution, each normalised, and a shortcut (He et al. 2016; Chen et al. 2021).

    A ReLU follows the first two and the sum. Where shapes change, the shortcut is a convolution, normalised
    channel by channel.

    Args:
        channels_in: Channels of the input.
        channels_out: Channels of the output; the middle has a quarter of them, a multiple of 32.
        stride: Stride of the middle convolution.
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


class HybridStem(nn.Module):
    """The ResNet in front of the transformer: features at 1/2, 1/4, 1/8 and 1/16 of the resolution."""

    def __init__(self, width: int, blocks: Sequence[int]) -> None:
        super().__init__()
        self.root = nn.Sequential(
            WeightStandardisedConv2d(3, width, 7, stride=2, bias=False),
            nn.GroupNorm(GROUPS, width, eps=NORM_EPS),
            nn.ReLU(),
        )
        widths = [width, 4 * width, 8 * width, 16 * width]
        self.stages = nn.ModuleList(
            nn.Sequential(
                StandardisedBottleneck(before, after, stride),
                *(StandardisedBottleneck(after, after) for _ in range(count - 1)),
            )
            for (before, after), stride, count in zip(pairwise(widths), (1, 2, 2), blocks, strict=True)
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        """Map an image (B3HW) to the four levels, finest first; H and W are multiples of 16.

        As in the authors' code the pooling has no padding, so the second level's last row and column are 0.
        """
        root = self.root(image)
        first = self.stages[0](F.max_pool2d(root, 3, stride=2))
        second = self.stages[1](first)
        return [root, F.pad(first, (0, 1, 0, 1)), second, self.stages[2](second)]


class CascadedUpsampler(nn.Module):
    """Four times: bilinear upsampling by two, concatenation of the skip of that size, two convolutions."""

    def __init__(self, channels_in: int, widths: Sequence[int], skip_widths: Sequence[int]) -> None:
        super().__init__()
        self.steps = nn.ModuleList(
            nn.Sequential(convolution(before + skip, after), convolution(after, after))
            for (before, after), skip in zip(pairwise([channels_in, *widths]), skip_widths, strict=True)
        )

    def forward(self, h: Tensor, skips: Sequence[Tensor | None]) -> Tensor:
        """Map h (B channels_in H W) and its skips, coarsest first, to B widths[-1] 16H 16W."""
        for step, skip in zip(self.steps, skips, strict=True):
            h = F.interpolate(h, scale_factor=2.0, mode="bilinear", align_corners=True)
            h = step(h if skip is None else torch.cat([h, skip], dim=1))
        return h


class TransUNet(nn.Module):
    """A ResNet, a transformer on its coarsest level, and a decoder with skips from the ResNet's finer levels.

    H and W must be multiples of ``total_stride``. See Chen et al. 2021, arXiv:2102.04306.

    Args:
        stem_width: Channels of the ResNet's first convolution, a multiple of 32.
        blocks: Bottlenecks of its three stages.
        token_width: Channels of a token, a multiple of ``heads``.
        layers: Layers of the transformer.
        heads: Heads of its attention.
        decoder_widths: Channels at 1/8, 1/4, 1/2 and the full resolution.
        grid: Tokens along a side that positions are stored for.
        dropout: Dropout of the transformer, in [0, 1).
    """

    total_stride = 16

    def __init__(
        self,
        stem_width: int,
        blocks: Sequence[int],
        token_width: int,
        layers: int,
        heads: int,
        decoder_widths: Sequence[int],
        grid: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.stem = HybridStem(stem_width, blocks)
        self.tokens = nn.Conv2d(16 * stem_width, token_width, 1)
        self.position = PositionEmbedding(token_width, grid)
        self.dropout = nn.Dropout(dropout)
        self.transformer = nn.Sequential(
            *(TransformerLayer(token_width, heads, dropout) for _ in range(layers)),
            nn.LayerNorm(token_width, eps=TOKEN_NORM_EPS),
        )
        bridge_width = 2 * decoder_widths[0]
        self.bridge = convolution(token_width, bridge_width)
        skip_widths = [8 * stem_width, 4 * stem_width, stem_width, 0]
        self.decoder = CascadedUpsampler(bridge_width, decoder_widths, skip_widths)
        self.head = nn.Conv2d(decoder_widths[-1], 1, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        """Map an image (B3HW in [-1, 1]) to a logit (B1HW)."""
        *finer, coarsest = self.stem(image)
        h = self.position(self.tokens(coarsest))
        tokens = self.transformer(self.dropout(h.flatten(2).mT))
        h = self.bridge(tokens.mT.reshape(h.shape))
        logit: Tensor = self.head(self.decoder(h, [*reversed(finer), None]))
        return logit


def convolution(channels_in: int, channels_out: int) -> nn.Sequential:
    """Build a 3 x 3 convolution, batch normalisation and a ReLU."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(),
    )
