"""FCN-8s, a direct network (Long et al. 2015, arXiv:1411.4038), on a VGG-16 encoder from scratch."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from mlffm_segdiff.config.model_config import ModelConfig
from mlffm_segdiff.config.section import Depth, Width
from mlffm_segdiff.models.registry import register_model


@register_model("fcn")
class FCNConfig(ModelConfig):
    """The recipe section of FCN. The defaults are VGG-16's.

    Attributes:
        widths: Channels of each level of the encoder.
        convolutions: Convolutions of each level.
        head_width: Channels of the two fully connected layers.
        dropout: Dropout after each of them.
        normalise: Batch normalisation after each convolution of the encoder. The paper's encoder has none and
            starts from ImageNet weights.
    """

    citation = "Long et al. 2015, arXiv:1411.4038"

    widths: tuple[Width, Width, Width, Width, Width] = (64, 128, 256, 512, 512)
    convolutions: tuple[Depth, Depth, Depth, Depth, Depth] = (2, 2, 3, 3, 3)
    head_width: Width = 4096
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    normalise: bool = True

    def build(self, mask_channels: int) -> "FCN":
        """Build the network with fresh weights."""
        return FCN(**self.arguments)


def bilinear_kernel(factor: int) -> Tensor:
    """Return the weights of bilinear upsampling by ``factor``, 2 factor x 2 factor (Long et al. 2015)."""
    taps = torch.arange(2 * factor) + 0.5
    line = 1 - (taps / factor - 1).abs()
    return line[:, None] * line


class LearnedUpsampling(nn.ConvTranspose2d):
    """Map B1HW to B1 factor*H factor*W by a transposed convolution that starts as bilinear interpolation.

    The map is padded with 0, so the rim of a new one fades. ``factor`` must be even.
    """

    def __init__(self, factor: int) -> None:
        super().__init__(1, 1, 2 * factor, stride=factor, padding=factor // 2, bias=False)
        with torch.no_grad():
            self.weight.copy_(bilinear_kernel(factor))


class FCN(nn.Module):
    """Scores at 1/32, 1/16 and 1/8 of the resolution, each upsampled by two and added to the next.

    The scores start at 0 and the two upsamplings by two as bilinear; that by eight stays bilinear. Each
    convolution is padded to keep its size, where the paper pads the image by 100 pixels and crops; so H and W
    must be multiples of ``total_stride``. See Long et al. 2015, arXiv:1411.4038 (FCN-8s).

    Args:
        widths: Channels of each of the five levels of the encoder, finest first.
        convolutions: Convolutions of each level.
        head_width: Channels of the two fully connected layers.
        dropout: Dropout after each of them, in [0, 1).
        normalise: Whether batch normalisation follows each convolution of the encoder.
    """

    total_stride = 32

    def __init__(
        self,
        widths: Sequence[int],
        convolutions: Sequence[int],
        head_width: int,
        dropout: float,
        normalise: bool,
    ) -> None:
        super().__init__()
        self.levels = nn.ModuleList(
            vgg_level(before, after, count, normalise)
            for (before, after), count in zip(pairwise([3, *widths]), convolutions, strict=True)
        )
        self.head = nn.Sequential(
            kaiming(UnfoldedConv2d(widths[-1], head_width, 7, padding=3)),
            nn.ReLU(),
            nn.Dropout(dropout),
            kaiming(nn.Conv2d(head_width, head_width, 1)),
            nn.ReLU(),
            nn.Dropout(dropout),
        )
        self.score_8, self.score_16 = score(widths[2]), score(widths[3])
        self.score_32 = score(head_width)
        self.up_32, self.up_16 = LearnedUpsampling(2), LearnedUpsampling(2)

    def forward(self, image: Tensor) -> Tensor:
        """Map an image (B3HW in [-1, 1]) to a logit (B1HW)."""
        pools = [image]
        for level in self.levels:
            pools.append(level(pools[-1]))
        *_, pool3, pool4, pool5 = pools
        scored = self.up_32(self.score_32(self.head(pool5))) + self.score_16(pool4)
        scored = self.up_16(scored) + self.score_8(pool3)
        return F.interpolate(scored, scale_factor=8.0, mode="bilinear", align_corners=False)


class UnfoldedConv2d(nn.Conv2d):
    """A convolution as one matrix product over unfolded windows.

    On a map smaller than the kernel, torch's gradients take 30 times as long on a CPU.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map B C H W to B D H W; the stride must be 1."""
        windows = F.unfold(x, self.kernel_size, padding=self.padding)  # type: ignore[arg-type]
        assert self.bias is not None
        found = self.weight.flatten(1) @ windows + self.bias.view(-1, 1)
        return found.reshape(x.shape[0], -1, *x.shape[2:])


def vgg_level(channels_in: int, channels_out: int, convolutions: int, normalise: bool) -> nn.Sequential:
    """Build 3 x 3 convolutions with ReLUs, and max pooling by two."""
    layers: list[nn.Module] = []
    for before, after in pairwise([channels_in, *[channels_out] * convolutions]):
        layers.append(kaiming(nn.Conv2d(before, after, 3, padding=1)))
        if normalise:
            layers.append(nn.BatchNorm2d(after))
        layers.append(nn.ReLU())
    return nn.Sequential(*layers, nn.MaxPool2d(2))


def kaiming(conv: nn.Conv2d) -> nn.Conv2d:
    """Initialise a convolution so that the variance is kept through a ReLU (He et al. 2015); return it."""
    nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
    nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
    return conv


def score(channels: int) -> nn.Conv2d:
    """Build a 1 x 1 convolution to one channel that starts at 0."""
    conv = nn.Conv2d(channels, 1, 1)
    nn.init.zeros_(conv.weight)
    nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
    return conv
