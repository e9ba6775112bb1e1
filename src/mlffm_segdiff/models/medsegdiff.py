"""The denoiser of MedSegDiff (Wu et al. 2022, arXiv:2211.00611): the image is read as the noisy mask asks.

From the paper (sections 2.1 to 2.3): two encoders alike, of residual blocks that know the time; eq. 3 and
the FF-Parser on their middle stages; their sum, which goes on to the last stage and the decoder (eq. 2).

From the authors' code (github.com/WuJunde/MedSegDiff, since moved to MedicineToken; its settings for
MedSegDiff-B): the U-Net of improved diffusion, its widths, 2 residual blocks a stage where the paper has as
many as ResNet-34, 1 head, attention at 16 x 16, and the process of 1000 linear steps. Its network is not the
paper's and is not followed: there the U-Net reads image and mask as one input, and beside it a second U-Net
reads the image alone, its features multiplied by FF-parsed ones of the mask; that one learns the mask too,
by a calibration loss that the paper does not have.

Ours: where there are more than the paper's four stages, all but the first and the last are middle ones;
skips carry the mask's features alone; no learned variance, whose bound their code adds to eq. 7; masks of -1
and 1, theirs of 0 and 1.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, PositiveInt
from torch import Tensor, nn

from mlffm_segdiff.blocks.dynamic_condition import DynamicCondition
from mlffm_segdiff.blocks.improved_diffusion_unet import GROUPS, ImprovedDiffusionUNet, encoder_stage
from mlffm_segdiff.models.improved_diffusion import ImprovedDiffusionConfig, Widths


class MedSegDiffConfig(ImprovedDiffusionConfig):
    """The recipe's section. The defaults are those of the authors' code for 128 x 128 pixels.

    spectrum_size: the size of the images whose frequencies have a weight each; see ``FFParser``.
    """

    name: Literal["medsegdiff"]
    widths: Annotated[Widths, Field(min_length=3)] = (128, 128, 256, 384, 512)
    attention: tuple[bool, ...] = (False, False, False, True, False)
    blocks: PositiveInt = 2
    heads: PositiveInt = 1
    spectrum_size: PositiveInt = 128


class MedSegDiff(nn.Module):
    """A U-Net over masks beside an encoder of the image that the mask's features steer.

    Of each stage but the last there are two, one of the mask and one of the image; after the first, dynamic
    conditional encoding of the image's features follows. The last stage reads the sum of both paths.

    widths, attention, blocks, heads, groups: see ``ImprovedDiffusionUNet``; at least three stages.
    spectrum_size: see ``FFParser``; halved with each stage. mask_channels: 1, or 2 with self-conditioning. H
    and W must be multiples of ``total_stride``.
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
        own = widths[:-1]
        self.unet = ImprovedDiffusionUNet(widths, attention, blocks, heads, mask_channels, groups)
        self.image_stem = nn.Conv2d(3, widths[0], 3, padding=1)
        self.image_stages = nn.ModuleList(
            encoder_stage(before, width, 4 * widths[0], blocks, heads if attends else 0, groups)
            for (before, width), attends in zip(pairwise([widths[0], *own]), attention, strict=False)
        )
        self.image_down = nn.ModuleList(nn.Conv2d(width, width, 3, stride=2, padding=1) for width in own)
        self.conditions = nn.ModuleList(
            DynamicCondition(width, max(spectrum_size >> stage, 1))
            for stage, width in enumerate(own)
            if stage
        )
        self.total_stride = self.unet.total_stride

    def encode(self, image: Tensor) -> list[Tensor]:
        """Map an image (B3HW in [-1, 1]) to all that needs no time: its stem, B widths[0] H W."""
        return [self.image_stem(image)]

    def denoise(self, noisy_mask: Tensor, t: Tensor, features: Sequence[Tensor]) -> Tensor:
        """Map x_t (B mask_channels H W), times t (B) and the image's features to the noise in x_t (B1HW)."""
        (image,) = features
        time = self.unet.embed(t)
        h = self.unet.conv_in(noisy_mask)
        skips = [h]
        *stages, last = self.unet.down_blocks
        for number, stage in enumerate(stages):
            h, (*found, halved) = stage(hidden_states=h, temb=time)
            image, _ = self.image_stages[number](hidden_states=image, temb=time)
            if number:
                image = self.conditions[number - 1](image, found[-1])
            image = self.image_down[number](image)
            skips += [*found, halved]
        h, found = last(hidden_states=h + image, temb=time)
        return self.unet.decode(h, [*skips, *found], time)

    def forward(self, image: Tensor, noisy_mask: Tensor, t: Tensor) -> Tensor:
        """Encode and denoise once: B3HW, B mask_channels H W and B to B1HW."""
        return self.denoise(noisy_mask, t, self.encode(image))
