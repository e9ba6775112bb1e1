"""The control for two paths: one encoder that reads the noisy mask and the image together, at each step."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from mlffm_segdiff.config.section import Depth, Width
from mlffm_segdiff.models.encoders import EfficientNetLite, LiteName, check_options
from mlffm_segdiff.models.mlffm import MLFFM, FusionConfig
from mlffm_segdiff.models.registry import register_model
from mlffm_segdiff.models.unet_blocks import ResidualBlock, TimeEmbedding, decode_skips, double, group_norm

LEVELS = 5


@register_model("single_path")
class SinglePathConfig(FusionConfig):
    """The recipe section of the single-path diffusion model.

    Attributes:
        encoder: Null for residual blocks, which are trained from scratch.
        widths: Channels of each level, finest first; with an encoder those of the skips, at strides 2 to 32.
        blocks: Residual blocks of each level, without an encoder.
        stride: The pixel-unshuffle factor of the stem, without an encoder.
    """

    contract = "denoiser"
    citation = "ours: MLFFM-SegDiff with one path"

    encoder: LiteName | None = None
    widths: Annotated[tuple[Width, ...], Field(min_length=1, max_length=10)] = (24, 48, 96, 192)
    blocks: tuple[Depth, ...] = (1, 2, 3, 3)
    stride: Depth = 2

    @model_validator(mode="after")
    def one_entry_a_level(self) -> "SinglePathConfig":
        """Refuse lists of unequal length, and options that would have no effect."""
        check_options(self, own=("blocks", "stride"), with_encoder=())
        if self.encoder is None and len(self.widths) != len(self.blocks):
            raise ValueError("widths and blocks need one entry for each level")
        if self.encoder is not None and len(self.widths) != LEVELS:
            raise ValueError(f"widths needs {LEVELS} entries with encoder {self.encoder}")
        return self

    def build(self, mask_channels: int) -> nn.Module:
        """Build the denoiser with fresh weights."""
        fusion = self.build_fusion(self.widths)
        if self.encoder is not None:
            encoder = EfficientNetLite(self.encoder)
            return EncoderSinglePath(encoder, self.widths, fusion=fusion, mask_channels=mask_channels)
        return SinglePath(
            widths=self.widths,
            blocks=self.blocks,
            stride=self.stride,
            fusion=fusion,
            mask_channels=mask_channels,
        )


class SinglePath(nn.Module):
    """A U-Net of residual blocks that read the time embedding, over the noisy mask and the image together.

    Nothing can be computed once per image. H and W must be multiples of ``total_stride``.

    Args:
        widths: Channels of each level, finest first.
        blocks: Residual blocks of each level.
        stride: The pixel-unshuffle factor of the stem.
        fusion: The MLFFM over ``widths``; None for plain skips.
        mask_channels: 1, or 2 with self-conditioning.
    """

    def __init__(
        self,
        widths: Sequence[int],
        blocks: Sequence[int],
        stride: int = 2,
        fusion: MLFFM | None = None,
        mask_channels: int = 1,
    ) -> None:
        super().__init__()
        time_width = 4 * widths[0]
        steps = list(pairwise(widths))
        self.stride = stride
        self.total_stride = stride * 2 ** len(steps)
        self.time = TimeEmbedding(time_width)
        self.stem = nn.Conv2d((3 + mask_channels) * stride**2, widths[0], 3, padding=1)
        self.down = nn.ModuleList(nn.Conv2d(fine, coarse, 3, stride=2, padding=1) for fine, coarse in steps)
        self.levels = nn.ModuleList(
            nn.ModuleList(ResidualBlock(width, width, time_width) for _ in range(count))
            for width, count in zip(widths, blocks, strict=True)
        )
        self.fusion = fusion if fusion is not None else nn.Identity()
        self.up = nn.ModuleList(nn.Conv2d(coarse, fine, 1) for fine, coarse in steps)
        self.decode = nn.ModuleList(ResidualBlock(fine, fine, time_width) for fine, _ in steps)
        self.head_norm = group_norm(widths[0])
        self.head = nn.Conv2d(widths[0], stride**2, 3, padding=1)

    def encode(self, image: Tensor) -> list[Tensor]:
        """Return the image (B3HW) itself: each denoising step encodes it together with the mask."""
        return [image]

    def denoise(self, noisy_mask: Tensor, t: Tensor, features: Sequence[Tensor]) -> Tensor:
        """Map x_t (B mask_channels H W), timesteps t (B) and the image to a logit or noise (B1HW)."""
        (image,) = features
        time = self.time(t)
        h = self.stem(F.pixel_unshuffle(torch.cat([noisy_mask, image], dim=1), self.stride))
        skips = []
        for number, level in enumerate(self.levels):
            if number:
                h = self.down[number - 1](h)
            for block in level:  # type: ignore[attr-defined]
                h = block(h, time)
            skips.append(h)
        h = decode_skips(self.fusion(skips), self.up, self.decode, time)
        logit: Tensor = F.pixel_shuffle(self.head(F.silu(self.head_norm(h))), self.stride)
        return logit


class EncoderSinglePath(nn.Module):
    """A U-Net on one pretrained encoder, which reads the image plus a projection of the noisy mask.

    Nothing can be computed once per image. The projection starts at zero, so a new network encodes the image
    only. Skips and decoder read the time embedding; the logit is computed at half the resolution and doubled.
    H and W must be multiples of ``total_stride``.

    Args:
        encoder: Returns features at strides 2 to 32.
        widths: Channels of the skips, finest first.
        fusion: The MLFFM over ``widths``; None for plain skips.
        mask_channels: 1, or 2 with self-conditioning.
    """

    def __init__(
        self,
        encoder: EfficientNetLite,
        widths: Sequence[int],
        fusion: MLFFM | None = None,
        mask_channels: int = 1,
    ) -> None:
        super().__init__()
        time_width = 256
        steps = list(pairwise(widths))
        self.total_stride = 2 ** len(widths)
        self.time = TimeEmbedding(time_width)
        self.read = nn.Conv2d(mask_channels, 3, 1, bias=False)
        self.encoder = encoder
        self.project = nn.ModuleList(
            nn.Conv2d(image_width, width, 1)
            for image_width, width in zip(encoder.widths, widths, strict=True)
        )
        self.levels = nn.ModuleList(ResidualBlock(width, width, time_width) for width in widths)
        self.fusion = fusion if fusion is not None else nn.Identity()
        self.up = nn.ModuleList(nn.Conv2d(coarse, fine, 1) for fine, coarse in steps)
        self.decode = nn.ModuleList(ResidualBlock(fine, fine, time_width) for fine, _ in steps)
        self.head_norm = group_norm(widths[0])
        self.head = nn.Conv2d(widths[0], 1, 3, padding=1)
        nn.init.zeros_(self.read.weight)

    def encode(self, image: Tensor) -> list[Tensor]:
        """Return the image (B3HW) itself: each denoising step encodes it together with the mask."""
        return [image]

    def denoise(self, noisy_mask: Tensor, t: Tensor, features: Sequence[Tensor]) -> Tensor:
        """Map x_t (B mask_channels H W), timesteps t (B) and the image to a logit or noise (B1HW)."""
        (image,) = features
        time = self.time(t)
        levels = zip(self.levels, self.project, self.encoder(image + self.read(noisy_mask)), strict=True)
        skips = [block(project(f), time) for block, project, f in levels]
        h = decode_skips(self.fusion(skips), self.up, self.decode, time)
        return double(self.head(F.silu(self.head_norm(h))))
