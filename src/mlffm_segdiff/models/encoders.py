"""Image encoders: EfficientNet-Lite with ImageNet weights, and one that is trained from scratch.

Every encoder maps an image (B3HW in [-1, 1]) to a list of features, finest first; each level halves the
resolution of the one before it. ``widths`` are the channels of each level.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from mlffm_segdiff.config.model_config import ModelConfig
from mlffm_segdiff.models.unet_blocks import ResidualBlock

LiteName = Literal["efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"]
EncoderName = Literal["scratch", LiteName]
BATCH_NORM_EPS = 1e-3
STEM_WIDTH = 32


class ScratchEncoder(nn.Module):
    """Residual blocks with group normalisation, without pretrained weights.

    Args:
        widths: Channels of each level, finest first.
        blocks: Residual blocks of each level.
    """

    def __init__(self, widths: Sequence[int], blocks: Sequence[int]) -> None:
        super().__init__()
        self.widths = tuple(widths)
        self.stem = nn.Conv2d(12, widths[0], 3, padding=1)
        self.down = nn.ModuleList(
            nn.Conv2d(fine, coarse, 3, stride=2, padding=1) for fine, coarse in pairwise(widths)
        )
        self.levels = nn.ModuleList(
            nn.Sequential(*(ResidualBlock(width, width) for _ in range(count)))
            for width, count in zip(widths, blocks, strict=True)
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        """Map an image (B3HW in [-1, 1]) to features, level l of shape B C_l H/2^l W/2^l."""
        h = self.stem(F.pixel_unshuffle(image, 2))
        features = []
        for number, level in enumerate(self.levels):
            if number:
                h = self.down[number - 1](h)
            h = level(h)
            features.append(h)
        return features


@dataclass(frozen=True)
class Stage:
    """A stage of EfficientNet: repeated inverted bottlenecks, of which only the first has the stride."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    width: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)
"""EfficientNet-Lite0 (Tan & Le 2019, table 1, without squeeze-and-excitation)."""

COEFFICIENTS: dict[LiteName, tuple[float, float]] = {
    "efficientnet_lite0": (1.0, 1.0),
    "efficientnet_lite1": (1.0, 1.1),
    "efficientnet_lite2": (1.1, 1.2),
}
"""Width and depth coefficients (Tan & Le 2019, section 3.3)."""


def scaled_stages(name: LiteName) -> tuple[Stage, ...]:
    """Return the stages of an EfficientNet-Lite.

    Widths are multiples of 8, at least 90 % of their exact value. Depths are rounded up, except those of the
    first and last stage, which the Lite models do not scale.
    """
    width_factor, depth_factor = COEFFICIENTS[name]
    last = len(STAGES) - 1
    stages = []
    for number, stage in enumerate(STAGES):
        exact = stage.width * width_factor
        width = max(8, int(exact + 4) // 8 * 8)
        width += 8 if width < 0.9 * exact else 0
        repeats = stage.repeats if number in {0, last} else -int(-stage.repeats * depth_factor // 1)
        stages.append(Stage(repeats, stage.kernel, stage.stride, stage.expansion, width))
    return tuple(stages)


class ConvNorm(nn.Sequential):
    """Convolution without bias, batch normalisation and, unless ``linear``, ReLU6.

    A strided convolution pads as TensorFlow's "same" does for inputs of even size: one pixel more at the
    bottom and right.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int,
        stride: int = 1,
        groups: int = 1,
        linear: bool = False,
    ) -> None:
        before = (kernel - stride) // 2
        padded = stride > 1
        conv = nn.Conv2d(
            channels_in,
            channels_out,
            kernel,
            stride,
            0 if padded else kernel // 2,
            groups=groups,
            bias=False,
        )
        layers: list[nn.Module] = [nn.ZeroPad2d((before, before + 1, before, before + 1))] if padded else []
        layers += [conv, nn.BatchNorm2d(channels_out, eps=BATCH_NORM_EPS, momentum=0.01)]
        super().__init__(*layers, *([] if linear else [nn.ReLU6(inplace=True)]))


class InvertedBottleneck(nn.Module):
    """Expand, depthwise convolution, project (Sandler et al. 2018), with a shortcut where shapes allow it."""

    def __init__(self, channels_in: int, stage: Stage, stride: int) -> None:
        super().__init__()
        hidden = channels_in * stage.expansion
        expand = [ConvNorm(channels_in, hidden, 1)] if stage.expansion > 1 else []
        self.layers = nn.Sequential(
            *expand,
            ConvNorm(hidden, hidden, stage.kernel, stride, groups=hidden),
            ConvNorm(hidden, stage.width, 1, linear=True),
        )
        self.shortcut = stride == 1 and channels_in == stage.width

    def forward(self, h: Tensor) -> Tensor:
        """Map B C_in H W to B C_out H/stride W/stride."""
        out: Tensor = self.layers(h)
        return h + out if self.shortcut else out


class EfficientNetLite(nn.Module):
    """EfficientNet-Lite without its classifier (Tan & Le 2019, arXiv:1905.11946).

    Features are the outputs of the last block at strides 2, 4, 8, 16 and 32.

    Args:
        name: A key of ``COEFFICIENTS``.
    """

    def __init__(self, name: LiteName) -> None:
        super().__init__()
        self.name = name
        stages = scaled_stages(name)
        self.stem = ConvNorm(3, STEM_WIDTH, 3, stride=2)
        inputs = [STEM_WIDTH, *(stage.width for stage in stages)]
        self.stages = nn.ModuleList(
            nn.Sequential(
                InvertedBottleneck(channels_in, stage, stage.stride),
                *(InvertedBottleneck(stage.width, stage, 1) for _ in range(stage.repeats - 1)),
            )
            for channels_in, stage in zip(inputs, stages, strict=False)
        )
        following = [stage.stride for stage in stages[1:]] + [2]
        self.levels = [number for number, stride in enumerate(following) if stride == 2]
        self.widths = tuple(stages[number].width for number in self.levels)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Map an image (B3HW in [-1, 1]) to features at strides 2 to 32, finest first."""
        h = self.stem(image)
        features = []
        for number, stage in enumerate(self.stages):
            h = stage(h)
            if number in self.levels:
                features.append(h)
        return features


def pretrained_encoder(segmenter: nn.Module) -> EfficientNetLite | None:
    """Return the encoder of a segmenter's network for which pretrained weights exist, if it has one."""
    encoder = getattr(getattr(segmenter, "network", None), "encoder", None)
    return encoder if isinstance(encoder, EfficientNetLite) else None


def check_options(section: ModelConfig, own: Sequence[str], with_encoder: Sequence[str]) -> None:
    """Refuse options of a direct model that would have no effect with its ``encoder``.

    Args:
        section: A model section with a key ``encoder``; None selects the model's own network.
        own: Keys of the model's own network, which an encoder replaces.
        with_encoder: Keys that only a model with an encoder has.

    Raises:
        ValueError: Such a key differs from its default.
    """
    encoder = getattr(section, "encoder", None)
    unused = with_encoder if encoder is None else own
    changed = [key for key in section.changed_keys() if key in unused]
    if changed:
        reason = "needs an encoder" if encoder is None else f"has no effect with encoder {encoder}"
        raise ValueError(f"{changed[0]} {reason}; leave it out")
