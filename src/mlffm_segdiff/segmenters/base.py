"""The contract of every model: a training loss, and segmentation."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from mlffm_segdiff.config.schema import FusionName, SamplerName
from mlffm_segdiff.data.batch import Batch

MIRRORS = ((), (-2,), (-1,), (-2, -1))
"""The axes of images (...HW) that nnU-Net flips, in all combinations."""
ANY_STYLE = "any"
"""The annotation style of no particular data set."""


@dataclass(frozen=True)
class Sampling:
    """How masks are made; direct segmenters read ``mirror`` only.

    Attributes:
        samples: 0 for the posterior mean in one step; otherwise the number of masks to sample.
        steps: Sampling steps of each sample.
        seed: Seed of the noise.
        sampler: How samples are drawn.
        mirror: Average over the image and its three mirror images.
        fusion: How the samples become one probability map.
        style: The annotation style, one of the model's, or ``any``.
        widening: Factor of the noisy mask's influence on the coarse estimate (docs/METHOD.md).
        second_look: Segment the found lesion again, enlarged, and merge; see `segmenters.second_look`. A
            segmenter only sees the network's input and ignores it.
    """

    samples: int = 0
    steps: int = 4
    seed: int = 0
    sampler: SamplerName = "ddim"
    mirror: bool = False
    fusion: FusionName = "mean"
    style: str = ANY_STYLE
    widening: float = 1.0
    second_look: bool = False


@dataclass(frozen=True)
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

    @property
    def is_finite(self) -> bool:
        """Whether all values are finite; damaged weights give NaN."""
        maps = [self.probability, self.spread] + ([] if self.samples is None else [self.samples])
        return all(bool(values.isfinite().all()) for values in maps)


Graph = Callable[..., Sequence[Tensor]]
"""A part of a network as a function from tensors to tensors, each with the batch first."""


@dataclass(frozen=True)
class Part:
    """A part of a segmenter's network that is exported as one graph.

    Attributes:
        module: Its ``forward(*inputs)`` returns a tuple of tensors.
        inputs: Example inputs.
        input_names: Of the inputs.
        output_names: Of the outputs.
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
    def segment(self, image: Tensor, sampling: Sampling) -> Segmentation:
        """Segment images (B3HW in [-1, 1]); each result depends only on its own image and the sampling."""

    @abstractmethod
    def parts(self, image: Tensor) -> dict[str, Part]:
        """Return the parts of the network by name, with example inputs computed from an image (B3HW)."""

    @abstractmethod
    def run_on(self, graphs: Mapping[str, Graph]) -> None:
        """Replace the network by graphs of its `parts`; those that are modules become submodules."""
