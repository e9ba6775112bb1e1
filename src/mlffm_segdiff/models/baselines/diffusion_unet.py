"""The unmodified diffusion U-Net (Ho et al. 2020, arXiv:2006.11239) as a denoiser of masks, from MONAI."""

from collections.abc import Sequence
from typing import Annotated

import torch
from monai.networks.nets import DiffusionModelUNet
from pydantic import Field, model_validator
from torch import Tensor, nn

from mlffm_segdiff.config.model_config import ModelConfig
from mlffm_segdiff.config.section import Depth, Width
from mlffm_segdiff.models.registry import register_model

GROUPS = 32


@register_model("diffusion_unet")
class DiffusionUNetConfig(ModelConfig):
    """The recipe's section; defaults are Ho et al.'s, with attention at 16 x 16 for images of 128 x 128.

    Attributes:
        widths: Channels of each level, finest first.
        attention: Whether each level has attention.
        blocks: Residual blocks of each level.
        head_width: Channels of an attention head.
        groups: Groups of the normalisations.
    """

    contract = "denoiser"
    citation = "Ho et al. 2020, arXiv:2006.11239"

    widths: Annotated[tuple[Width, ...], Field(min_length=1, max_length=10)] = (128, 256, 256, 256)
    attention: tuple[bool, ...] = (False, False, False, True)
    blocks: Depth = 2
    head_width: Width = 256
    groups: Depth = GROUPS

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

    def build(self, mask_channels: int) -> "DiffusionUNet":
        """Build the denoiser with fresh weights."""
        return DiffusionUNet(**self.arguments, mask_channels=mask_channels)


class DiffusionUNet(nn.Module):
    """A denoiser that reads the image as further channels of the noisy mask; it encodes nothing beforehand.

    H and W must be multiples of ``total_stride``.

    The arguments are those of `DiffusionUNetConfig` and ``mask_channels``, 2 with self-conditioning.
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
        """Map x_t (B mask_channels H W), timesteps t (B) and the image to a logit or noise (B1HW)."""
        (image,) = features
        output: Tensor = self.unet(torch.cat([noisy_mask, image], dim=1), t)
        return output

    def forward(self, image: Tensor, noisy_mask: Tensor, t: Tensor) -> Tensor:
        """Encode and denoise once: B3HW, B mask_channels H W and B to B1HW."""
        return self.denoise(noisy_mask, t, self.encode(image))
