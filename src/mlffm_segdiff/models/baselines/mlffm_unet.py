"""The plain U-Net with the MLFFM on its skips, and no diffusion: does the module help by itself?"""

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field, NonNegativeInt, PositiveInt, model_validator
from torch import Tensor, nn

from mlffm_segdiff.config.schema import ModelConfig
from mlffm_segdiff.models.baselines.unet import DecoderWidths, UNet
from mlffm_segdiff.models.encoders import LiteName, check_options
from mlffm_segdiff.models.mlffm import MLFFM


class MLFFMUNetConfig(ModelConfig):
    """The recipe's section: that of ``unet``, and the MLFFM's.

    Attributes:
        encoder: Null for MONAI's U-Net with residual units, which is trained from scratch.
        widths: Channels of each level of MONAI's U-Net, finest first.
        residual_units: Convolutions within each of its residual units.
        decoder_widths: With an encoder, the decoder's channels at strides 16, 8, 4 and 2.
        fusion_width: Channels within the MLFFM; null for the plain U-Net.
    """

    name: Literal["mlffm_unet"]
    encoder: LiteName | None = None
    widths: Annotated[tuple[PositiveInt, ...], Field(min_length=2)] = (16, 32, 64, 128, 256)
    residual_units: NonNegativeInt = 2
    decoder_widths: DecoderWidths = (160, 96, 64, 32)
    fusion_width: PositiveInt | None = 24
    attention: bool = True
    alignment: bool = True
    adaptive: bool = True

    @model_validator(mode="after")
    def options_fit_the_encoder(self) -> "MLFFMUNetConfig":
        """Refuse options that would have no effect."""
        check_options(self, own=("widths", "residual_units"), with_encoder=("decoder_widths",))
        return self


class MLFFMUNet(nn.Module):
    """A network that maps an image (B3HW) to a logit (B1HW); with a new MLFFM it is exactly the U-Net.

    widths: channels a level, two or more; H and W must be multiples of ``total_stride``. fusion: the MLFFM
    over ``widths``, the deepest level included, None for plain skips.
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
    """Return the encoder's ``count`` levels and the decoder's ``count`` - 1, finest first.

    block: MONAI's U-Net, a chain of down, what lies below with its skip, and up.
    """
    downs, ups = [], []
    for _ in range(count - 1):
        down, below, up = block.children()
        downs.append(down)
        ups.append(up)
        block = below.submodule  # type: ignore[assignment]
    return [*downs, block], ups
