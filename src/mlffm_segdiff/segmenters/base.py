"""The contract of every model: a training loss, and segmentation."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from mlffm_segdiff.config.schema import SamplingConfig
from mlffm_segdiff.data.batch import Batch
from mlffm_segdiff.data.image_tensor import image_tensor, normalise_image

MIRRORS = ((), (-2,), (-1,), (-2, -1))
"""The axes of images (...HW) that nnU-Net flips, in all combinations."""


@dataclass(frozen=True, eq=False)
class Segmentation:
    """A segmented batch of B images.

    Attributes:
        probability: B1HW in [0, 1], the posterior mean or the fusion of the samples.
        spread: B1HW, the standard deviation of the samples; 0 for fewer than two.
        samples: NB1HW in [0, 1], the N samples; None if none were drawn.
        features: BxD, of each image as a whole, see `segmenters.image_features`; None if the network has no
            maps for them.
    """

    probability: Tensor
    spread: Tensor
    samples: Tensor | None = None
    features: Tensor | None = None

    def clone(self) -> "Segmentation":
        """Return a copy, whose tensors can be used in training unless inference mode is on."""
        samples, features = (None if one is None else one.clone() for one in (self.samples, self.features))
        return Segmentation(self.probability.clone(), self.spread.clone(), samples, features)


Graph = Callable[..., Sequence[Tensor]]
"""A part of a network as a function from tensors to tensors, each with the batch first."""


@dataclass(frozen=True)
class Part:
    """A part of a segmenter's network that is exported as one graph.

    Attributes:
        module: Module whose ``forward(*inputs)`` returns a tuple of tensors.
        inputs: Example inputs.
        input_names: Names of the inputs.
        output_names: Names of the outputs.
    """

    module: nn.Module
    inputs: tuple[Tensor, ...]
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]


class BaseSegmenter(nn.Module, ABC):
    """The interface of a model for training, evaluation, prediction and export."""

    @property
    @abstractmethod
    def total_stride(self) -> int:
        """The divisor of valid image heights and widths."""

    @abstractmethod
    def loss(self, batch: Batch) -> Tensor:
        """Compute the training loss of a batch, a scalar."""

    @property
    def styles(self) -> tuple[str, ...]:
        """The annotation styles to choose from; most models have none."""
        return ()

    @abstractmethod
    def segment(self, image: Tensor, sampling: SamplingConfig) -> Segmentation:
        """Segment images (B3HW in [-1, 1]); each result depends only on its own image and the sampling."""

    @abstractmethod
    def parts(self, image: Tensor) -> dict[str, Part]:
        """Return the parts of the network by name, with example inputs computed from an image (B3HW)."""

    def hold_noise(self) -> None:
        """Draw the noise of each sampling only once, so that it is constant in a trace; most have none."""
        return

    @abstractmethod
    def run_on(self, graphs: Mapping[str, Graph]) -> None:
        """Replace the network by graphs of its `parts`; those that are modules become submodules."""


def segment_batch(
    segmenter: BaseSegmenter,
    images: npt.NDArray[np.uint8],
    sampling: SamplingConfig,
    device: torch.device,
) -> Segmentation:
    """Segment a batch of images of the network's size.

    Args:
        segmenter: Segmenter on ``device``, in evaluation mode.
        images: BxSxSx3 uint8, RGB.
        sampling: Sampling settings.
        device: Device of the segmenter.

    Returns:
        The segmentation, float32 on the CPU.

    Raises:
        ValueError: The segmenter is in training mode.
    """
    if segmenter.training:
        raise ValueError("the segmenter is in training mode; call its eval() first")
    with torch.inference_mode():
        found = segmenter.segment(normalise_image(image_tensor(images)).to(device), sampling)
    samples = None if found.samples is None else found.samples.float().cpu()
    features = None if found.features is None else found.features.cpu()
    return Segmentation(found.probability.float().cpu(), found.spread.float().cpu(), samples, features)
