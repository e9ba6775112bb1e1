"""UNet++, a nested U-Net with deep supervision (Zhou et al. 2018, arXiv:1807.10165).

MONAI's, or nested decoders on a pretrained encoder.
"""

from collections.abc import Sequence

from monai.networks.nets import BasicUNetPlusPlus
from pydantic import model_validator
from torch import Tensor, nn

from mlffm_segdiff.config.model_config import ModelConfig
from mlffm_segdiff.config.section import Width
from mlffm_segdiff.models.baselines.unet import DecoderWidths
from mlffm_segdiff.models.encoders import EfficientNetLite, LiteName, check_options
from mlffm_segdiff.models.registry import register_model
from mlffm_segdiff.models.unet_blocks import ConcatBlock, double


@register_model("unetpp")
class UNetPlusPlusConfig(ModelConfig):
    """The recipe section of UNet++.

    Attributes:
        encoder: Null for MONAI's UNet++, which is trained from scratch.
        widths: Channels of the five levels of MONAI's UNet++, finest first.
        decoder_widths: With an encoder, the nested decoders' channels at strides 16, 8, 4 and 2.
    """

    citation = "Zhou et al. 2018, arXiv:1807.10165"

    encoder: LiteName | None = None
    widths: tuple[Width, Width, Width, Width, Width] = (32, 64, 128, 256, 512)
    decoder_widths: DecoderWidths = (160, 96, 64, 32)

    @model_validator(mode="after")
    def options_fit_the_encoder(self) -> "UNetPlusPlusConfig":
        """Refuse options that would have no effect."""
        check_options(self, own=("widths",), with_encoder=("decoder_widths",))
        return self

    def build(self, mask_channels: int) -> "UNetPlusPlus | EncoderUNetPlusPlus":
        """Build the network with fresh weights."""
        if self.encoder is None:
            return UNetPlusPlus(widths=self.widths)
        return EncoderUNetPlusPlus(EfficientNetLite(self.encoder), decoder_widths=self.decoder_widths)


class UNetPlusPlus(BasicUNetPlusPlus):
    """MONAI's UNet++; it maps an image (B3HW) to the logit (B1HW) of its deepest decoder.

    H and W must be multiples of ``total_stride``.

    Args:
        widths: Channels of the five levels, finest first.
    """

    def __init__(self, widths: tuple[int, int, int, int, int]) -> None:
        super().__init__(
            spatial_dims=2,
            in_channels=3,
            out_channels=1,
            features=(*widths, widths[0]),
            deep_supervision=True,
        )
        self.total_stride = 16

    def supervise(self, image: Tensor) -> list[tuple[float, Tensor]]:
        """Return the logits (B1HW) of the four nested decoders, deepest first, each of equal weight."""
        logits = super().forward(image)
        return [(1 / len(logits), logit) for logit in reversed(logits)]

    def forward(self, image: Tensor) -> Tensor:
        """Map an image (B3HW) to a logit (B1HW)."""
        logit: Tensor = super().forward(image)[-1]
        return logit


class EncoderUNetPlusPlus(nn.Module):
    """Nested U-Net decoders on a pretrained encoder, each with a logit; that of the deepest is used.

    Node X_{l,j} (eq. 1 of the paper) reads X_{l,0}, ..., X_{l,j-1} and X_{l+1,j-1} doubled, where X_{l,0} are
    the encoder's features. Logits are computed at stride 2 and doubled bilinearly. H and W must be multiples
    of ``total_stride``.

    Args:
        encoder: Returns features at strides 2, 4, ....
        decoder_widths: Channels of the nodes, coarsest level first; one fewer than the encoder's levels.
    """

    def __init__(self, encoder: EfficientNetLite, decoder_widths: Sequence[int]) -> None:
        super().__init__()
        depth = len(decoder_widths)
        widths = [*reversed(decoder_widths)]
        self.total_stride = 2 ** len(encoder.widths)
        self.encoder = encoder
        self.nodes = nn.ModuleList(
            nn.ModuleList(
                ConcatBlock(
                    encoder.widths[level + 1] if number == 0 else widths[level + 1],
                    encoder.widths[level] + number * widths[level],
                    widths[level],
                )
                for level in range(depth - number)
            )
            for number in range(depth)
        )
        self.heads = nn.ModuleList(nn.Conv2d(widths[0], 1, 3, padding=1) for _ in range(depth))

    def supervise(self, image: Tensor) -> list[tuple[float, Tensor]]:
        """Return the logits (B1HW) of the nested decoders, deepest first, each of equal weight."""
        decoded = zip(self.heads, self._decode(image), strict=True)
        logits = [double(head(h)) for head, h in decoded]
        return [(1 / len(logits), logit) for logit in reversed(logits)]

    def forward(self, image: Tensor) -> Tensor:
        """Map an image (B3HW in [-1, 1]) to a logit (B1HW)."""
        return double(self.heads[-1](self._decode(image)[-1]))

    def _decode(self, image: Tensor) -> list[Tensor]:
        """Return X_{0,1}, X_{0,2}, ..., the finest node of each decoder (B C H/2 W/2)."""
        found = [[features] for features in self.encoder(image)]
        for column in self.nodes:
            last = [level[-1] for level in found]
            for node, row, coarse in zip(column, found, last[1:], strict=False):  # type: ignore[call-overload]
                row.append(node(coarse, row))
        return found[0][1:]
