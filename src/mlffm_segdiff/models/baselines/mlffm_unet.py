"""A U-Net with the MLFFM on its skips and no diffusion, to test whether the module helps on its own."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mlffm_segdiff.config.section import Width
from mlffm_segdiff.models.baselines.unet import EncoderUNet, UNet, UNetConfig
from mlffm_segdiff.models.encoders import EfficientNetLite
from mlffm_segdiff.models.mlffm import MLFFM, FusionConfig
from mlffm_segdiff.models.registry import register_model


@register_model("mlffm_unet")
class MLFFMUNetConfig(UNetConfig, FusionConfig):
    """The recipe section of the U-Net with an MLFFM: that of ``unet``, and the MLFFM's."""

    citation = "ours: the MLFFM without diffusion"

    fusion_width: Width | None = 24

    def build(self, mask_channels: int) -> nn.Module:
        """Build the network with fresh weights."""
        if self.encoder is None:
            fusion = self.build_fusion(self.widths)
            return MLFFMUNet(self.widths, residual_units=self.residual_units, fusion=fusion)
        encoder = EfficientNetLite(self.encoder)
        fusion = self.build_fusion(encoder.widths)
        return EncoderUNet(encoder, decoder_widths=self.decoder_widths, fusion=fusion)


class MLFFMUNet(nn.Module):
    """MONAI's U-Net with the MLFFM on its skips; with a new MLFFM it is exactly the U-Net.

    It maps an image (B3HW) to a logit (B1HW); H and W must be multiples of ``total_stride``.

    Args:
        widths: Channels of each level, two or more, finest first.
        residual_units: Convolutions within each residual unit.
        fusion: The MLFFM over ``widths``, the deepest level included; None for plain skips.
    """

    def __init__(self, widths: Sequence[int], residual_units: int, fusion: MLFFM | None = None) -> None:
        super().__init__()
        unet = UNet(widths, residual_units)
        self.total_stride = unet.total_stride
        down, up = levels(unet.model, len(widths))
        self.down = nn.ModuleList(down)
        self.fusion = fusion if fusion is not None else nn.Identity()
        self.up = nn.ModuleList(up)

    def forward(self, image: Tensor) -> Tensor:
        """Map an image (B3HW) to a logit (B1HW)."""
        h, skips = image, []
        for down in self.down:
            h = down(h)
            skips.append(h)
        *skips, logit = self.fusion(skips)
        for up, skip in zip(reversed(self.up), reversed(skips), strict=True):
            logit = up(torch.cat([skip, logit], dim=1))
        return logit  # type: ignore[no-any-return]


def levels(block: nn.Module, count: int) -> tuple[list[nn.Module], list[nn.Module]]:
    """Split MONAI's U-Net, a nest of (down, skip connection around the level below, up), into its levels.

    Args:
        block: The ``model`` of MONAI's U-Net.
        count: The number of levels.

    Returns:
        The encoder's ``count`` levels and the decoder's ``count`` - 1, finest first.
    """
    downs, ups = [], []
    for _ in range(count - 1):
        down, below, up = block.children()
        downs.append(down)
        ups.append(up)
        block = below.submodule  # type: ignore[assignment]
    return [*downs, block], ups
