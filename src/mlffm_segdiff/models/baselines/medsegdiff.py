"""The denoiser of MedSegDiff (Wu et al. 2022, arXiv:2211.00611): the mask's features condition the image's.

From the paper (sections 2.1 to 2.3): two equal encoders of residual blocks that read the time embedding; eq.
3 and the FF-Parser on their middle stages; the sum of both, which the last stage and the decoder read (eq.
2).

From the authors' code (github.com/WuJunde/MedSegDiff, since moved to MedicineToken; its settings for
MedSegDiff-B): the U-Net of improved diffusion, its widths, 2 residual blocks in each stage where the paper
has as many as ResNet-34, 1 head, attention at 16 x 16, and the process of 1000 linear steps. The network of
the code differs from the paper's, which is followed here: in the code the U-Net reads image and mask as one
input, and a second U-Net reads only the image, its features multiplied by FF-parsed ones of the mask; it is
trained on the mask too, by a calibration loss that is not in the paper.

Our choices: where there are more than the paper's four stages, all but the first and the last are middle
ones; skips carry only the mask's features; no learned variance, whose bound their code adds to eq. 7; masks
are -1 and 1, theirs 0 and 1.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from mlffm_segdiff.config.section import Depth, Width
from mlffm_segdiff.models.baselines.improved_diffusion import (
    GROUPS,
    ImprovedDiffusionConfig,
    ImprovedDiffusionUNet,
    Widths,
    encoder_stage,
)
from mlffm_segdiff.models.registry import register_model


@register_model("medsegdiff")
class MedSegDiffConfig(ImprovedDiffusionConfig):
    """The recipe section of MedSegDiff. The defaults are those of the authors' code for 128 x 128 pixels.

    Attributes:
        spectrum_size: The size of the images whose frequencies have a weight each; see `FFParser`.
    """

    citation = "Wu et al. 2022, arXiv:2211.00611"

    widths: Annotated[Widths, Field(min_length=3)] = (128, 128, 256, 384, 512)
    attention: tuple[bool, ...] = (False, False, False, True, False)
    blocks: Depth = 2
    heads: Depth = 1
    spectrum_size: Width = 128

    def build(self, mask_channels: int) -> "MedSegDiff":
        """Build the denoiser with fresh weights."""
        return MedSegDiff(**self.arguments, mask_channels=mask_channels)


class FFParser(nn.Module):
    """F^-1[A * F[m]]: a learned complex weight A for each channel and frequency of a feature map.

    F is the two-dimensional Fourier transform of real maps, whose spectrum has H rows and W // 2 + 1 columns.
    For maps of another size A is interpolated at the same cycles per pixel: bilinearly, and around the circle
    of the vertical frequencies. A starts at 1, so a new parser is the identity; the authors' starts at small
    random numbers.

    Args:
        channels: Channels of the map.
        size: Side of the maps that A is stored for, the only size that the authors' code supports.
    """

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        attentive_map = torch.zeros(2, channels, size, size // 2 + 1)
        attentive_map[0] = 1
        self.attentive_map = nn.Parameter(attentive_map)

    def map_for(self, height: int, width: int) -> Tensor:
        """Return A for maps of this size: real and imaginary part (2 C H W//2+1)."""
        circle = torch.cat([self.attentive_map, self.attentive_map[:, :, :1]], dim=2)
        size = (height + 1, width // 2 + 1)
        return F.interpolate(circle, size=size, mode="bilinear", align_corners=True)[:, :, :-1]

    def forward(self, m: Tensor) -> Tensor:
        """Map B C H W to the same shape."""
        return filtered(m, *self.map_for(m.shape[2], m.shape[3]))


def filtered(m: Tensor, real: Tensor, imaginary: Tensor) -> Tensor:
    """Return F^-1[A * F[m]] for m (B C H W) and A = real + i imaginary (both C H W//2+1).

    Both transforms are matrix products: every export format and half precision support these, and at the size
    of feature maps they cost little compared with a convolution.
    """
    height, width = m.shape[2:]
    columns = width // 2 + 1
    cos_h, sin_h = waves(height, height, m)
    cos_w, sin_w = waves(width, columns, m)
    x, y = m @ cos_w, -(m @ sin_w)
    x, y = cos_h @ x + sin_h @ y, cos_h @ y - sin_h @ x
    x, y = x * real - y * imaginary, x * imaginary + y * real
    x, y = cos_h @ x - sin_h @ y, cos_h @ y + sin_h @ x
    twice = torch.full((columns,), 2.0, dtype=m.dtype, device=m.device)
    twice[0] = 1
    if width % 2 == 0:
        twice[-1] = 1
    return ((x * twice) @ cos_w.mT - (y * twice) @ sin_w.mT) / (height * width)


def waves(size: int, frequencies: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Return cosine and sine of 2 pi n k / size for pixels n and frequencies k (size x frequencies).

    They are computed in float32 and returned with the dtype and device of ``like``.
    """
    n, k = (torch.arange(count, device=like.device) for count in (size, frequencies))
    angle = (n[:, None] * k % size) * (2 * math.pi / size)
    return torch.cos(angle).to(like.dtype), torch.sin(angle).to(like.dtype)


class DynamicCondition(nn.Module):
    """(LN(m_I) * LN(m_x)) * m_I (eq. 3), with the noisy mask's features m_x through an FF-Parser first.

    The paper does not state over what LN normalises. Here it is all channels and pixels of a case, as in the
    authors' code, which has eq. 3 but does not call it. Theirs has no parameters; this has a gain and a bias
    for each channel, so that it fits any size.

    Args:
        channels: Channels of both maps.
        size: See `FFParser`.
    """

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        self.parser = FFParser(channels, size)
        self.norm_image = nn.GroupNorm(1, channels)
        self.norm_mask = nn.GroupNorm(1, channels)

    def forward(self, image_features: Tensor, mask_features: Tensor) -> Tensor:
        """Map m_I and m_x (both B C H W) to the image's new features, of the same shape."""
        affinity: Tensor = self.norm_image(image_features) * self.norm_mask(self.parser(mask_features))
        return affinity * image_features


class MedSegDiff(nn.Module):
    """A U-Net over masks and an encoder of the image that is conditioned on the mask's features.

    Each stage but the last is double, one for the mask and one for the image; dynamic conditional encoding of
    the image's features follows all but the first. The last stage reads the sum of both paths. H and W must
    be multiples of ``total_stride``. See Wu et al. 2022, arXiv:2211.00611, sections 2.1 to 2.3.

    Args:
        widths: Channels of each level, finest first, three or more, multiples of ``groups`` and of ``heads``.
        attention: Whether each level has self-attention.
        blocks: Residual blocks of each level.
        heads: Heads of the attention.
        spectrum_size: Side of the images whose frequencies have a weight each, in pixels; see `FFParser`.
        mask_channels: Channels of the noisy mask; 2 with self-conditioning.
        groups: Groups of the normalisations.
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
        """Map an image (B3HW in [-1, 1]) to its stem, B widths[0] H W; all else depends on the timestep."""
        return [self.image_stem(image)]

    def denoise(self, noisy_mask: Tensor, t: Tensor, features: Sequence[Tensor]) -> Tensor:
        """Map x_t (B mask_channels H W), timesteps t (B) and image features to the noise in x_t (B1HW)."""
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
