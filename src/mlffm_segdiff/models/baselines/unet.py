"""A U-Net, the direct control (Ronneberger et al. 2015): MONAI's, or one with a pretrained encoder.

MONAI's (doi:10.1007/978-3-030-12029-0_40) differs from the paper's: it has residual units, strided
convolutions instead of pooling, padding, instance normalisation and PReLU.
"""

from collections.abc import Sequence
from typing import Annotated

from monai.networks.nets import UNet as MonaiUNet
from pydantic import Field, model_validator
from torch import Tensor, nn

from mlffm_segdiff.config.model_config import ModelConfig
from mlffm_segdiff.config.section import Width
from mlffm_segdiff.models.encoders import EfficientNetLite, LiteName, check_options
from mlffm_segdiff.models.mlffm import MLFFM
from mlffm_segdiff.models.registry import register_model
from mlffm_segdiff.models.unet_blocks import ConcatBlock, double

DecoderWidths = tuple[Width, Width, Width, Width]


@register_model("unet")
class UNetConfig(ModelConfig):
    """The recipe section of U-Net.

    Attributes:
        encoder: Null for MONAI's U-Net with residual units, which is trained from scratch.
        widths: Channels of each level of MONAI's U-Net, finest first.
        residual_units: Convolutions within each of its residual units.
        decoder_widths: With an encoder, the decoder's channels at strides 16, 8, 4 and 2.
    """

    citation = "Ronneberger et al. 2015, arXiv:1505.04597"

    encoder: LiteName | None = None
    widths: Annotated[tuple[Width, ...], Field(min_length=2, max_length=10)] = (16, 32, 64, 128, 256)
    residual_units: Annotated[int, Field(ge=0, le=8)] = 2
    decoder_widths: DecoderWidths = (160, 96, 64, 32)

    @model_validator(mode="after")
    def options_fit_the_encoder(self) -> "UNetConfig":
        """Refuse options that would have no effect."""
        check_options(self, own=("widths", "residual_units"), with_encoder=("decoder_widths",))
        return self

    def build(self, mask_channels: int) -> nn.Module:
        """Build the network with fresh weights."""
        if self.encoder is None:
            return UNet(widths=self.widths, residual_units=self.residual_units)
        return EncoderUNet(EfficientNetLite(self.encoder), decoder_widths=self.decoder_widths)


class UNet(MonaiUNet):
    """MONAI's U-Net with residual units; it maps an image (B3HW) to a logit (B1HW).

    H and W must be multiples of ``total_stride``.

    Args:
        widths: Channels of each level, two or more, finest first.
        residual_units: Convolutions within each residual unit.
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


class EncoderUNet(nn.Module):
    """A U-Net decoder on a pretrained encoder, with or without the MLFFM on its skips.

    The logit is computed at half the image's resolution, where the encoder's finest features are, and doubled
    bilinearly. H and W must be multiples of ``total_stride``.

    Args:
        encoder: Returns the skips, at strides 2, 4, ..., and the features that the decoder starts from.
        decoder_widths: Channels of the decoder's levels, coarsest first; one fewer than the encoder's levels.
        fusion: The MLFFM over the encoder's widths, the deepest level included; None for plain skips.
    """

    def __init__(
        self, encoder: EfficientNetLite, decoder_widths: Sequence[int], fusion: MLFFM | None = None
    ) -> None:
        super().__init__()
        *skip_widths, deepest = encoder.widths
        self.total_stride = 2 ** len(encoder.widths)
        self.encoder = encoder
        self.fusion = fusion if fusion is not None else nn.Identity()
        self.decode = nn.ModuleList(
            ConcatBlock(coarse, skip, width)
            for coarse, skip, width in zip(
                [deepest, *decoder_widths[:-1]], reversed(skip_widths), decoder_widths, strict=True
            )
        )
        self.head = nn.Conv2d(decoder_widths[-1], 1, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        """Map an image (B3HW in [-1, 1]) to a logit (B1HW)."""
        *skips, h = self.fusion(self.encoder(image))
        for block, skip in zip(self.decode, reversed(skips), strict=True):
            h = block(h, [skip])
        return double(self.head(h))
