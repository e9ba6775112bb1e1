"""A plain U-Net, the direct control (Ronneberger et al. 2015), from MONAI with residual units."""

from collections.abc import Sequence

from monai.networks.nets import UNet as MonaiUNet
from torch import nn


def unet(widths: Sequence[int], residual_units: int) -> nn.Module:
    """Return a network that maps an image (B3HW) to a logit (B1HW).

    widths: channels a level, two or more; H and W must be multiples of 2^(len(widths) - 1).
    """
    network: nn.Module = MonaiUNet(
        spatial_dims=2,
        in_channels=3,
        out_channels=1,
        channels=tuple(widths),
        strides=(2,) * (len(widths) - 1),
        num_res_units=residual_units,
    )
    return network
