"""UNet++, a nested U-Net with deep supervision (Zhou et al. 2018, arXiv:1807.10165), from MONAI."""

from typing import Literal

from monai.networks.nets import BasicUNetPlusPlus
from pydantic import PositiveInt
from torch import Tensor

from mlffm_segdiff.config.schema import ModelConfig

TOTAL_STRIDE = 16


class UNetPlusPlusConfig(ModelConfig):
    """The recipe's section. widths: channels of the five levels, finest first."""

    name: Literal["unetpp"]
    widths: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt, PositiveInt] = (32, 64, 128, 256, 512)


class UNetPlusPlus(BasicUNetPlusPlus):
    """A network that maps an image (B3HW) to a logit (B1HW): that of its deepest decoder.

    widths: channels of the five levels, finest first; H and W must be multiples of ``total_stride``.
    """

    def __init__(self, widths: tuple[int, int, int, int, int]) -> None:
        super().__init__(
            spatial_dims=2,
            in_channels=3,
            out_channels=1,
            features=(*widths, widths[0]),
            deep_supervision=True,
        )
        self.total_stride = TOTAL_STRIDE

    def supervise(self, image: Tensor) -> list[tuple[float, Tensor]]:
        """Return the logits (B1HW) of the four nested decoders, deepest first, each of equal weight."""
        logits = super().forward(image)
        return [(1 / len(logits), logit) for logit in reversed(logits)]

    def forward(self, image: Tensor) -> Tensor:
        """Map an image (B3HW) to a logit (B1HW)."""
        logit: Tensor = super().forward(image)[-1]
        return logit
