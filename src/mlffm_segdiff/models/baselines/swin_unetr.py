"""Swin UNETR (Hatamizadeh et al. 2022, arXiv:2201.01266), from MONAI."""

from typing import Annotated, Literal

from monai.networks.nets import SwinUNETR as MonaiSwinUNETR
from pydantic import Field

from mlffm_segdiff.config.schema import ModelConfig

TOTAL_STRIDE = 32


class SwinUNETRConfig(ModelConfig):
    """The recipe's section. feature_size: channels of the first level."""

    name: Literal["swin_unetr"]
    feature_size: Annotated[int, Field(gt=0, multiple_of=12)] = 24


class SwinUNETR(MonaiSwinUNETR):
    """A network that maps an image (B3HW) to a logit (B1HW).

    feature_size: channels of the first level, a multiple of 12. H and W must be multiples of
    ``total_stride``; training needs 64 at least, since the coarsest level is normalised over its pixels.
    """

    def __init__(self, feature_size: int) -> None:
        super().__init__(in_channels=3, out_channels=1, feature_size=feature_size, spatial_dims=2)
        self.total_stride = TOTAL_STRIDE
