"""The unmodified diffusion U-Net (Ho et al. 2020, arXiv:2006.11239) as a denoiser of masks, from MONAI."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mlffm_segdiff.config.section import Depth
from mlffm_segdiff.models.baselines.improved_diffusion import (
    GROUPS,
    ImprovedDiffusionConfig,
    ImprovedDiffusionUNet,
    Widths,
)
from mlffm_segdiff.models.registry import register_model


@register_model("diffusion_unet")
class DiffusionUNetConfig(ImprovedDiffusionConfig):
    """The recipe section of the diffusion U-Net; defaults are Ho et al.'s, with attention at 16 x 16."""

    citation = "Ho et al. 2020, arXiv:2006.11239"

    widths: Widths = (128, 256, 256, 256)
    attention: tuple[bool, ...] = (False, False, False, True)
    blocks: Depth = 2
    heads: Depth = 1

    def build(self, mask_channels: int) -> "DiffusionUNet":
        """Build the denoiser with fresh weights."""
        return DiffusionUNet(**self.arguments, mask_channels=mask_channels)


class DiffusionUNet(nn.Module):
    """A denoiser that reads the image as further channels of the noisy mask; it encodes nothing beforehand.

    H and W must be multiples of ``total_stride``. See Ho et al. 2020, arXiv:2006.11239.

    Args:
        widths: Channels of each level, finest first, multiples of ``groups`` and of ``heads``.
        attention: Whether each level has self-attention.
        blocks: Residual blocks of each level.
        heads: Heads of the attention.
        mask_channels: Channels of the noisy mask; 2 with self-conditioning.
        groups: Groups of the normalisations.
    """

    def __init__(
        self,
        widths: Sequence[int],
        attention: Sequence[bool],
        blocks: int,
        heads: int,
        mask_channels: int = 1,
        groups: int = GROUPS,
    ) -> None:
        super().__init__()
        self.unet = ImprovedDiffusionUNet(widths, attention, blocks, heads, mask_channels + 3, groups)
        self.total_stride = self.unet.total_stride

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
