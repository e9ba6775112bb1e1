"""Attention U-Net (Oktay et al. 2018, arXiv:1804.03999), from MONAI."""

from collections.abc import Sequence
from typing import Annotated, Literal

from monai.networks.nets import AttentionUnet as MonaiAttentionUnet
from pydantic import Field, PositiveInt

from mlffm_segdiff.config.schema import ModelConfig


class AttentionUNetConfig(ModelConfig):
    """The recipe's section. widths: channels a level, finest first."""

    name: Literal["attention_unet"]
    widths: Annotated[tuple[PositiveInt, ...], Field(min_length=2)] = (32, 64, 128, 256, 512)


class AttentionUNet(MonaiAttentionUnet):
    """A U-Net whose skips are weighted at each pixel by a gate that reads the level below.

    It maps an image (B3HW) to a logit (B1HW). widths: channels a level, two or more; H and W must be
    multiples of ``total_stride``. MONAI's gate reads the level below after it is brought to the skip's
    resolution; the paper's works at the coarser one. There is no deep supervision.
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
