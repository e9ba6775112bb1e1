"""A feature pyramid network (Lin et al. 2017, arXiv:1612.03144).

The encoder is a ResNet from scratch, or one with pretrained weights; the pyramid is MONAI's. The head is that
of Kirillov et al. 2019 (arXiv:1901.02446).
"""

from collections.abc import Sequence
from typing import Annotated

import torch
import torch.nn.functional as F
from monai.networks.blocks.feature_pyramid_network import FeaturePyramidNetwork
from monai.networks.nets import ResNet
from pydantic import Field, model_validator
from torch import Tensor, nn

from mlffm_segdiff.config.model_config import ModelConfig
from mlffm_segdiff.config.section import Depth, Width
from mlffm_segdiff.models.encoders import EfficientNetLite, LiteName, check_options
from mlffm_segdiff.models.registry import register_model

BOTTLENECK_EXPANSION = 4
HEAD_GROUPS = 32
LEVELS = 4


@register_model("fpn")
class FPNConfig(ModelConfig):
    """The recipe section of FPN. The defaults are ResNet-50 and both papers' widths.

    Attributes:
        encoder: Null for a ResNet, which is trained from scratch.
        widths: Channels within the bottlenecks of ResNet's four stages.
        blocks: Bottlenecks of each stage.
        pyramid_width: Channels of every level of the pyramid.
        head_width: Channels of the head, a multiple of 32.
    """

    citation = "Lin et al. 2017, arXiv:1612.03144"

    encoder: LiteName | None = None
    widths: tuple[Width, Width, Width, Width] = (64, 128, 256, 512)
    blocks: tuple[Depth, Depth, Depth, Depth] = (3, 4, 6, 3)
    pyramid_width: Width = 256
    head_width: Annotated[int, Field(gt=0, le=8192, multiple_of=HEAD_GROUPS)] = 128

    @model_validator(mode="after")
    def options_fit_the_encoder(self) -> "FPNConfig":
        """Refuse options that would have no effect."""
        check_options(self, own=("widths", "blocks"), with_encoder=())
        return self

    def build(self, mask_channels: int) -> "FPN":
        """Build the network with fresh weights."""
        return FPN(
            ResNetEncoder(self.widths, self.blocks)
            if self.encoder is None
            else EfficientNetLite(self.encoder),
            pyramid_width=self.pyramid_width,
            head_width=self.head_width,
        )


class ResNetEncoder(ResNet):
    """MONAI's ResNet without its classifier, from scratch (He et al. 2016): levels C2 to C5, strides 4 to 32.

    Args:
        widths: Channels within the bottlenecks of the four stages, whose outputs have four times as many.
        blocks: Bottlenecks of each stage.
    """

    def __init__(self, widths: Sequence[int], blocks: Sequence[int]) -> None:
        super().__init__(
            "bottleneck",
            list(blocks),
            list(widths),
            spatial_dims=2,
            conv1_t_stride=2,
            feed_forward=False,
            bias_downsample=False,
        )
        self.widths = tuple(BOTTLENECK_EXPANSION * width for width in widths)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Map an image (B3HW in [-1, 1]) to features at strides 4, 8, 16 and 32, finest first."""
        h = self.maxpool(self.act(self.bn1(self.conv1(image))))
        features = []
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            h = stage(h)
            features.append(h)
        return features


def upsampling_stage(channels_in: int, channels_out: int, groups: int, twice: bool) -> nn.Sequential:
    """Build a 3 x 3 convolution, group normalisation, ReLU, and bilinear upsampling by two if ``twice``."""
    layers: list[nn.Module] = [
        nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False),
        nn.GroupNorm(groups, channels_out),
        nn.ReLU(),
    ]
    if twice:
        layers.append(nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False))
    return nn.Sequential(*layers)


class SemanticHead(nn.Module):
    """Upsample all levels of a pyramid to the finest, sum them, and apply a 1 x 1 convolution.

    Level l passes max(l, 1) stages, of which l upsample by two.

    Args:
        levels: The number of levels.
        channels: Channels of the pyramid.
        width: Channels of the stages, a multiple of ``groups``.
        groups: Groups of the normalisations.
    """

    def __init__(self, levels: int, channels: int, width: int, groups: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(
                *(
                    upsampling_stage(width if number else channels, width, groups, twice=level > 0)
                    for number in range(max(level, 1))
                )
            )
            for level in range(levels)
        )
        self.score = nn.Conv2d(width, 1, 1)

    def forward(self, pyramid: Sequence[Tensor]) -> Tensor:
        """Map levels of B channels H/2^l W/2^l, finest first, to a logit (B1HW)."""
        branches = zip(self.branches, pyramid, strict=True)
        logit: Tensor = self.score(torch.stack([branch(p) for branch, p in branches]).sum(dim=0))
        return logit


class FPN(nn.Module):
    """Four levels of an encoder, a top-down pathway that adds coarse to fine, and one head for all of them.

    H and W must be multiples of ``total_stride``.

    Args:
        encoder: Encoder whose last four levels are at strides 4, 8, 16 and 32.
        pyramid_width: Channels of every level of the pyramid.
        head_width: Channels of the head.
    """

    total_stride = 32

    def __init__(
        self, encoder: ResNetEncoder | EfficientNetLite, pyramid_width: int, head_width: int
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.pyramid = FeaturePyramidNetwork(2, list(encoder.widths[-LEVELS:]), pyramid_width)
        self.head = SemanticHead(LEVELS, pyramid_width, head_width, HEAD_GROUPS)

    def forward(self, image: Tensor) -> Tensor:
        """Map an image (B3HW in [-1, 1]) to a logit (B1HW)."""
        levels = {str(number): level for number, level in enumerate(self.encoder(image)[-LEVELS:])}
        logit = self.head(list(self.pyramid(levels).values()))
        return F.interpolate(logit, scale_factor=4.0, mode="bilinear", align_corners=False)
