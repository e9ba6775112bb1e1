"""Swin UNETR (Hatamizadeh et al. 2022, arXiv:2201.01266), from MONAI."""

from typing import Annotated

from monai.networks.nets import SwinUNETR as MonaiSwinUNETR
from pydantic import Field

from mlffm_segdiff.config.model_config import ModelConfig
from mlffm_segdiff.models.registry import register_model


@register_model("swin_unetr")
class SwinUNETRConfig(ModelConfig):
    """The recipe section of SwinUNETR.

    Attributes:
        feature_size: Channels of the first level; 24 is MONAI's default, and the paper has 48.
    """

    citation = "Hatamizadeh et al. 2022, arXiv:2201.01266"

    feature_size: Annotated[int, Field(gt=0, le=192, multiple_of=12)] = 24

    def build(self, mask_channels: int) -> "SwinUNETR":
        """Build the network with fresh weights."""
        return SwinUNETR(**self.arguments)


class SwinUNETR(MonaiSwinUNETR):
    """A Swin transformer as the encoder of a U-Net; it maps an image (B3HW) to a logit (B1HW).

    H and W must be multiples of ``total_stride`` and at least ``least_side``, since the coarsest level is
    normalised over its pixels.

    Args:
        feature_size: Channels of the first level, a multiple of 12.
    """

    least_side = 64

    def __init__(self, feature_size: int) -> None:
        super().__init__(in_channels=3, out_channels=1, feature_size=feature_size, spatial_dims=2)
        self.total_stride = 32
