"""The 2D U-Net that nnU-Net plans (Isensee et al. 2021, doi:10.1038/s41592-020-01008-z), from MONAI."""

from collections.abc import Sequence
from math import prod
from typing import Annotated

import torch
from monai.networks.nets import DynUNet
from pydantic import Field
from torch import Tensor, nn

from mlffm_segdiff.config.model_config import ModelConfig
from mlffm_segdiff.config.section import LARGEST_SIDE
from mlffm_segdiff.models.baselines.nnunet_plan import Size, plan_network
from mlffm_segdiff.models.registry import register_model

KERNEL = 3
MIN_IMAGE = 16
MIN_DEVIATION = 1e-8


@register_model("nnunet")
class NNUNetConfig(ModelConfig):
    """The recipe section of nnU-Net's network.

    Attributes:
        image_size: Side of the square images that the network is planned for.
    """

    citation = "Isensee et al. 2021, doi:10.1038/s41592-020-01008-z"

    image_size: Annotated[int, Field(ge=MIN_IMAGE, le=LARGEST_SIDE)] = 128

    def build(self, mask_channels: int) -> "NNUNet":
        """Build the network with fresh weights."""
        plan = plan_network(self.image_size, self.image_size)
        return NNUNet(features=plan.features, strides=plan.strides)


class NNUNet(DynUNet):
    """A planned U-Net on the `z_score` of an image (B3HW); it gives a logit (B1HW).

    Each stage of the decoder but the coarsest has its own logit for deep supervision. H and W must be
    multiples of ``total_stride``.

    Args:
        features: Channels of each stage, three or more, finest first.
        strides: The stride that leads to each stage, finest first.
    """

    def __init__(self, features: Sequence[int], strides: Sequence[Size]) -> None:
        super().__init__(
            spatial_dims=2,
            in_channels=3,
            out_channels=1,
            kernel_size=[KERNEL] * len(strides),
            strides=[list(stride) for stride in strides],
            upsample_kernel_size=[list(stride) for stride in strides[1:]],
            filters=list(features),
        )
        del self.skip_layers  # the same blocks as a chain; weights are saved once
        coarser = range(1, len(strides) - 2)
        self.coarser_outputs = nn.ModuleList(self.get_output_block(stage) for stage in coarser)
        self.coarser_outputs.apply(self.initialize_weights)
        heights, widths = zip(*strides, strict=True)
        self.total_stride = max(prod(heights), prod(widths))

    def supervise(self, image: Tensor) -> list[tuple[float, Tensor]]:
        """Return pairs of a weight and a logit (B1HW, then each at its stage's size), finest first."""
        stages = self._decode(image)
        outputs = [self.output_block, *self.coarser_outputs]
        logits = [output(stage) for output, stage in zip(outputs, stages, strict=False)]
        return list(zip(supervision_weights(len(logits)), logits, strict=True))

    def forward(self, image: Tensor) -> Tensor:
        """Map an image (B3HW) to a logit (B1HW)."""
        logit: Tensor = self.output_block(self._decode(image)[0])
        return logit

    def _decode(self, image: Tensor) -> list[Tensor]:
        """Return the features of the decoder's stages, finest first."""
        skips = [self.input_block(z_score(image))]
        for downsample in self.downsamples:
            skips.append(downsample(skips[-1]))
        stages = [self.bottleneck(skips[-1])]
        for upsample, skip in zip(self.upsamples, reversed(skips), strict=True):
            stages.append(upsample(stages[-1], skip))
        return stages[:0:-1]


def z_score(image: Tensor) -> Tensor:
    """Normalise images (B3HW) to mean 0 and deviation 1 in each channel, as nnU-Net does."""
    deviation, mean = torch.std_mean(image, (2, 3), correction=0, keepdim=True)
    return (image - mean) / deviation.clamp(min=MIN_DEVIATION)


def supervision_weights(count: int) -> list[float]:
    """Return ``count`` weights that halve from one to the next and sum to 1."""
    halving = [0.5**number for number in range(count)]
    return [weight / sum(halving) for weight in halving]
