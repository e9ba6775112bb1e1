"""The unmodified diffusion U-Net (Ho et al. 2020, arXiv:2006.11239) as a denoiser of masks, from MONAI."""

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from monai.networks.nets import DiffusionModelUNet
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor, nn

from mlffm_segdiff.config.schema import ModelConfig

GROUPS = 32


class DiffusionUNetConfig(ModelConfig):
    """The recipe's section; defaults are Ho et al.'s, with attention at 16 x 16 for images of 128 x 128.

    widths, attention: channels of a level, and whether it attends, finest first. blocks: residual blocks a
    level. head_width: channels of an attention head. groups: of the normalisations.
    """

    name: Literal["diffusion_unet"]
    widths: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (128, 256, 256, 256)
    attention: tuple[bool, ...] = (False, False, False, True)
    blocks: PositiveInt = 2
    head_width: PositiveInt = 256
    groups: PositiveInt = GROUPS

    @model_validator(mode="after")
    def levels_go_together(self) -> "DiffusionUNetConfig":
        """Refuse lists of unequal length, and heads or groups that do not divide the channels."""
        if len(self.attention) != len(self.widths):
            raise ValueError("widths and attention need one entry for each level")
        if any(width % self.groups for width in self.widths):
            raise ValueError(f"groups={self.groups} does not divide all of widths")
        attending = [w for w, attends in zip(self.widths, self.attention, strict=True) if attends]
        if any(width % self.head_width for width in (*attending, self.widths[-1])):
            raise ValueError(f"head_width={self.head_width} does not divide the widths of levels that attend")
        return self


class DiffusionUNet(nn.Module):
    """A denoiser that reads the image as more channels of the noisy mask, so it encodes nothing beforehand.

    widths, attention, blocks, head_width, groups: see `DiffusionUNetConfig`. mask_channels: 1, or 2 with
    self-conditioning. H and W must be multiples of ``total_stride``.
    """

    def __init__(
        self,
        widths: Sequence[int],
        attention: Sequence[bool],
        blocks: int,
        head_width: int,
        mask_channels: int = 1,
        groups: int = GROUPS,
    ) -> None:
        super().__init__()
        self.total_stride = 2 ** (len(widths) - 1)
        self.unet = DiffusionModelUNet(
            spatial_dims=2,
            in_channels=mask_channels + 3,
            out_channels=1,
            num_res_blocks=blocks,
            channels=tuple(widths),
            attention_levels=tuple(attention),
            norm_num_groups=groups,
            num_head_channels=head_width,
        )

    def encode(self, image: Tensor) -> list[Tensor]:
        """Return the image (B3HW in [-1, 1]) itself."""
        return [image]

    def denoise(self, noisy_mask: Tensor, t: Tensor, features: Sequence[Tensor]) -> Tensor:
        """Map x_t (B mask_channels H W), times t (B) and the image to a logit or noise (B1HW)."""
        (image,) = features
        output: Tensor = self.unet(torch.cat([noisy_mask, image], dim=1), t)
        return output

    def forward(self, image: Tensor, noisy_mask: Tensor, t: Tensor) -> Tensor:
        """Encode and denoise once: B3HW, B mask_channels H W and B to B1HW."""
        return self.denoise(noisy_mask, t, self.encode(image))
