"""A feature pyramid network, a direct network (Lin et al. 2017, arXiv:1612.03144), on a ResNet from scratch.

Backbone and pyramid are MONAI's. The head is that of Kirillov et al. 2019 (arXiv:1901.02446).
"""

from collections.abc import Sequence
from typing import Annotated, Literal

import torch.nn.functional as F
from monai.networks.blocks.feature_pyramid_network import FeaturePyramidNetwork
from monai.networks.nets import ResNet
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from mlffm_segdiff.blocks.semantic_head import SemanticHead
from mlffm_segdiff.config.schema import ModelConfig

HEAD_GROUPS = 32
EXPANSION = 4


class FPNConfig(ModelConfig):
    """The recipe's section. The defaults are ResNet-50 and both papers' widths.

    widths, blocks: of ResNet's four stages, within its bottlenecks. head_width: a multiple of 32.
    """

    name: Literal["fpn"]
    widths: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt] = (64, 128, 256, 512)
    blocks: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt] = (3, 4, 6, 3)
    pyramid_width: PositiveInt = 256
    head_width: Annotated[int, Field(gt=0, multiple_of=HEAD_GROUPS)] = 128


class FPN(nn.Module):
    """ResNet's four levels, a top-down pathway that adds coarse to fine, and one score for all of them.

    widths, blocks: of ResNet's stages, whose outputs have four times the width. pyramid_width: channels of
    every level of the pyramid; head_width: of the head. H and W must be multiples of ``total_stride``.
    """

    total_stride = 32

    def __init__(
        self, widths: Sequence[int], blocks: Sequence[int], pyramid_width: int, head_width: int
    ) -> None:
        super().__init__()
        self.backbone = ResNet(
            "bottleneck",
            list(blocks),
            list(widths),
            spatial_dims=2,
            conv1_t_stride=2,
            feed_forward=False,
            bias_downsample=False,
        )
        self.pyramid = FeaturePyramidNetwork(2, [EXPANSION * width for width in widths], pyramid_width)
        self.head = SemanticHead(len(widths), pyramid_width, head_width, HEAD_GROUPS)

    def bottom_up(self, image: Tensor) -> list[Tensor]:
        """Map an image (B3HW) to ResNet's levels C2..C5, at 1/4 to 1/32 of the resolution."""
        stem = self.backbone
        h = stem.maxpool(stem.act(stem.bn1(stem.conv1(image))))
        levels = []
        for stage in (stem.layer1, stem.layer2, stem.layer3, stem.layer4):
            h = stage(h)
            levels.append(h)
        return levels

    def forward(self, image: Tensor) -> Tensor:
        """Map an image (B3HW in [-1, 1]) to a logit (B1HW)."""
        levels = {str(number): level for number, level in enumerate(self.bottom_up(image))}
        logit = self.head(list(self.pyramid(levels).values()))
        return F.interpolate(logit, scale_factor=4.0, mode="bilinear", align_corners=False)
