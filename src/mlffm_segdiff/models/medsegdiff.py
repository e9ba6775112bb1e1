"""The denoiser of MedSegDiff (Wu et al. 2022, arXiv:2211.00611): the image is read as the noisy mask asks.

After the paper's equations. The authors' code changed often and departs from them; its U-Net is used.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from pydantic import PositiveInt
from torch import Tensor, nn

from mlffm_segdiff.blocks.dynamic_condition import DynamicCondition
from mlffm_segdiff.blocks.improved_diffusion_unet import GROUPS, ImprovedDiffusionUNet
from mlffm_segdiff.blocks.residual import ResidualBlock
from mlffm_segdiff.models.improved_diffusion import ImprovedDiffusionConfig, Widths


class MedSegDiffConfig(ImprovedDiffusionConfig):
    """The recipe's section. The defaults are those of the authors' code for 128 x 128 pixels.

    spectrum_size: the size of the images whose frequencies have a weight each; see ``FFParser``.
    """

    name: Literal["medsegdiff"]
    widths: Widths = (128, 128, 256, 384, 512)
    attention: tuple[bool, ...] = (False, False, False, True, False)
    blocks: PositiveInt = 2
    heads: PositiveInt = 1
    spectrum_size: PositiveInt = 128


class MedSegDiff(nn.Module):
    """A U-Net over masks beside an encoder of the image that the mask's features steer at each level.

    On each level but the coarsest: residual blocks on both sides, dynamic conditional encoding of the image's
    features, and both halved. The image's are then added to the mask's; the coarsest level and the decoder
    follow. The image's blocks do not know the time.

    widths, attention, blocks, heads, groups: see ``ImprovedDiffusionUNet``. spectrum_size: see ``FFParser``;
    halved with each level. mask_channels: 1, or 2 with self-conditioning. H and W must be multiples of
    ``total_stride``.
    """

    def __init__(
        self,
        widths: Sequence[int],
        attention: Sequence[bool],
        blocks: int,
        heads: int,
        spectrum_size: int,
        mask_channels: int = 1,
        groups: int = GROUPS,
    ) -> None:
        super().__init__()
        steered = widths[:-1]
        self.unet = ImprovedDiffusionUNet(widths, attention, blocks, heads, mask_channels, groups)
        self.image_stem = nn.Conv2d(3, widths[0], 3, padding=1)
        self.image_levels = nn.ModuleList(
            image_level(before, width, blocks) for before, width in pairwise([widths[0], *steered])
        )
        self.conditions = nn.ModuleList(
            DynamicCondition(width, max(spectrum_size >> level, 1)) for level, width in enumerate(steered)
        )
        self.image_down = nn.ModuleList(nn.Conv2d(width, width, 3, stride=2, padding=1) for width in steered)
        self.total_stride = self.unet.total_stride

    def encode(self, image: Tensor) -> list[Tensor]:
        """Map an image (B3HW in [-1, 1]) to its features up to where the mask's come in, B widths[0] H W."""
        return [self.image_levels[0](self.image_stem(image))]

    def denoise(self, noisy_mask: Tensor, t: Tensor, features: Sequence[Tensor]) -> Tensor:
        """Map x_t (B mask_channels H W), times t (B) and the image's features to the noise in x_t (B1HW)."""
        (image,) = features
        time = self.unet.embed(t)
        h = self.unet.conv_in(noisy_mask)
        skips = [h]
        *levels, coarsest = self.unet.down_blocks
        for number, level in enumerate(levels):
            if number:
                image = self.image_levels[number](image)
            h, (*found, halved) = level(hidden_states=h, temb=time)
            image = self.image_down[number](self.conditions[number](image, found[-1]))
            skips += [*found, halved]
        h, found = coarsest(hidden_states=h + image, temb=time)
        return self.unet.decode(h, [*skips, *found], time)

    def forward(self, image: Tensor, noisy_mask: Tensor, t: Tensor) -> Tensor:
        """Encode and denoise once: B3HW, B mask_channels H W and B to B1HW."""
        return self.denoise(noisy_mask, t, self.encode(image))


def image_level(channels_in: int, channels_out: int, blocks: int) -> nn.Sequential:
    """Return ``blocks`` residual blocks, the first of which changes the channels."""
    widths = [channels_in, *[channels_out] * blocks]
    return nn.Sequential(*(ResidualBlock(before, after) for before, after in pairwise(widths)))
