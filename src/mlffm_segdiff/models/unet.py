"""A plain U-Net, the direct control (Ronneberger et al. 2015), from MONAI with residual units."""

from collections.abc import Sequence
from typing import Annotated, Literal

from monai.networks.nets import UNet as MonaiUNet
from pydantic import Field, NonNegativeInt, PositiveInt

from mlffm_segdiff.config.schema import ModelConfig


class UNetConfig(ModelConfig):
    """The recipe's section. widths: channels a level, finest first."""

    name: Literal["unet"]
    widths: Annotated[tuple[PositiveInt, ...], Field(min_length=2)] = (16, 32, 64, 128, 256)
    residual_units: NonNegativeInt = 2


class UNet(MonaiUNet):
    """A network that maps an image (B3HW) to a logit (B1HW).

    widths: channels a level, two or more; H and W must be multiples of ``total_stride``.
    """

    def __init__(self, widths: Sequence[int], residual_units: int) -> None:
        super().__init__(
            spatial_dims=2,
            in_channels=3,
            out_channels=1,
            channels=tuple(widths),
            strides=(2,) * (len(widths) - 1),
            num_res_units=residual_units,
        )
        self.total_stride = 2 ** (len(widths) - 1)
