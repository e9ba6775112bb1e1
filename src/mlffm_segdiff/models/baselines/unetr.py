"""UNETR: a plain vision transformer (Dosovitskiy et al. 2021, arXiv:2010.11929) as a U-Net's encoder.

The decoder is that of Hatamizadeh et al. 2022 (arXiv:2103.10504). From MONAI, extended to images of any size.
"""

from typing import Annotated

from monai.networks import nets
from pydantic import Field, model_validator
from torch import Tensor, nn

from mlffm_segdiff.config.model_config import ModelConfig
from mlffm_segdiff.config.section import LARGEST_SIDE, Depth, Width
from mlffm_segdiff.models.baselines.transformer import PositionEmbedding
from mlffm_segdiff.models.registry import register_model

PATCH = 16
SKIP_LAYERS = (3, 6, 9)


@register_model("unetr")
class UNETRConfig(ModelConfig):
    """The recipe section of UNETR; defaults are ViT-Base/16.

    Attributes:
        image_size: Side of the images that positions are stored for.
        feature_size: Channels of the finest level.
        hidden_size: Channels of a token.
        mlp_size: Units of the perceptrons' hidden layer.
        heads: Heads of the attention.
    """

    citation = "Hatamizadeh et al. 2022, arXiv:2103.10504"

    image_size: Annotated[int, Field(gt=0, le=LARGEST_SIDE, multiple_of=PATCH)] = 128
    feature_size: Width = 16
    hidden_size: Width = 768
    mlp_size: Width = 3072
    heads: Depth = 12

    @model_validator(mode="after")
    def heads_share_the_channels(self) -> "UNETRConfig":
        """Refuse heads that do not divide the channels."""
        if self.hidden_size % self.heads:
            raise ValueError(f"heads={self.heads} does not divide hidden_size={self.hidden_size}")
        return self

    def build(self, mask_channels: int) -> "UNETR":
        """Build the network with fresh weights."""
        return UNETR(**self.arguments)


class PatchTokens(nn.Module):
    """Patches as tokens, each with the learned embedding of its position."""

    def __init__(self, projection: nn.Module, position: PositionEmbedding) -> None:
        super().__init__()
        self.projection = projection
        self.position = position

    def forward(self, image: Tensor) -> Tensor:
        """Map an image (B3HW) to tokens (B x patches x C), row by row."""
        patches: Tensor = self.position(self.projection(image))
        return patches.flatten(2).transpose(1, 2)


class UNETR(nets.UNETR):
    """MONAI's UNETR; it maps an image (B3HW) to a logit (B1HW).

    H and W must be multiples of ``total_stride``. See Hatamizadeh et al. 2022, arXiv:2103.10504.

    Args:
        image_size: Side of the images that positions are stored for, in pixels, a multiple of 16.
        feature_size: Channels of the finest level.
        hidden_size: Channels of a token, a multiple of ``heads``.
        mlp_size: Units of the hidden layer of each perceptron.
        heads: Heads of the attention.
    """

    def __init__(
        self, image_size: int, feature_size: int, hidden_size: int, mlp_size: int, heads: int
    ) -> None:
        super().__init__(
            in_channels=3,
            out_channels=1,
            img_size=image_size,
            feature_size=feature_size,
            hidden_size=hidden_size,
            mlp_dim=mlp_size,
            num_heads=heads,
            spatial_dims=2,
        )
        self.vit.patch_embedding = PatchTokens(
            self.vit.patch_embedding.patch_embeddings, PositionEmbedding(hidden_size, image_size // PATCH)
        )
        for block in self.vit.blocks:
            del block.norm_cross_attn  # of a cross attention that this network does not have
        self.total_stride = PATCH

    def forward(self, image: Tensor) -> Tensor:
        """Map an image (B3HW) to a logit (B1HW)."""
        grid = (image.shape[2] // PATCH, image.shape[3] // PATCH)
        tokens, layers = self.vit(image)
        deep, *skips = (as_map(t, grid) for t in (tokens, *(layers[number] for number in SKIP_LAYERS)))
        encoders = (self.encoder2, self.encoder3, self.encoder4)
        encoded = [self.encoder1(image), *(e(skip) for e, skip in zip(encoders, skips, strict=True))]
        decoders = (self.decoder5, self.decoder4, self.decoder3, self.decoder2)
        for decoder, skip in zip(decoders, reversed(encoded), strict=True):
            deep = decoder(deep, skip)
        logit: Tensor = self.out(deep)
        return logit


def as_map(tokens: Tensor, grid: tuple[int, int]) -> Tensor:
    """Reshape tokens (B x patches x C), row by row, to a map (B C rows columns)."""
    return tokens.transpose(1, 2).reshape(tokens.shape[0], tokens.shape[2], *grid)
