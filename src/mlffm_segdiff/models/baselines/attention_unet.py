"""Attention U-Net (Oktay et al. 2018, arXiv:1804.03999), from MONAI."""

from collections.abc import Sequence
from typing import Annotated

from monai.networks.nets import AttentionUnet as MonaiAttentionUnet
from pydantic import Field

from mlffm_segdiff.config.model_config import ModelConfig
from mlffm_segdiff.config.section import Width
from mlffm_segdiff.models.registry import register_model


@register_model("attention_unet")
class AttentionUNetConfig(ModelConfig):
    """The recipe section of Attention U-Net.

    Attributes:
        widths: Channels of each level, finest first.
    """

    citation = "Oktay et al. 2018, arXiv:1804.03999"

    widths: Annotated[tuple[Width, ...], Field(min_length=2, max_length=10)] = (32, 64, 128, 256, 512)

    def build(self, mask_channels: int) -> "AttentionUNet":
        """Build the network with fresh weights."""
        return AttentionUNet(**self.arguments)


class AttentionUNet(MonaiAttentionUnet):
    """A U-Net whose skips are weighted at each pixel by a gate that reads the level below.

    It maps an image (B3HW) to a logit (B1HW); H and W must be multiples of ``total_stride``. MONAI's gate
    reads the level below at the skip's resolution, the paper's works at the coarser one. Without deep
    supervision.

    Args:
        widths: Channels of each level, two or more, finest first.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__(
            spatial_dims=2,
            in_channels=3,
            out_channels=1,
            channels=tuple(widths),
            strides=(2,) * (len(widths) - 1),
        )
        self.total_stride = 2 ** (len(widths) - 1)
