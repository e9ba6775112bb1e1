"""Swin UNETR, a direct control (Hatamizadeh et al. 2022, arXiv:2201.01266), from MONAI."""

from monai.networks.nets import SwinUNETR
from torch import nn

TOTAL_STRIDE = 32


def swin_unetr(feature_size: int) -> nn.Module:
    """Return a network that maps an image (B3HW) to a logit (B1HW).

    feature_size: channels of the first level, a multiple of 12. H and W must be multiples of TOTAL_STRIDE;
    training needs 64 at least, since the coarsest level is normalised over its pixels.
    """
    network: nn.Module = SwinUNETR(in_channels=3, out_channels=1, feature_size=feature_size, spatial_dims=2)
    return network
