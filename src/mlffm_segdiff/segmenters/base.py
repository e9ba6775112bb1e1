"""The one contract of every model: a loss to train by and masks to use."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from mlffm_segdiff.data.batch import Batch
from mlffm_segdiff.diffusion.fusion import FusionName
from mlffm_segdiff.diffusion.sampler import SamplerName

MIRRORS = ((), (-2,), (-1,), (-2, -1))
"""The axes of images (...HW) that nnU-Net flips, in all combinations."""
ANY_STYLE = "any"


@dataclass(frozen=True)
class Sampling:
    """How masks are made; direct segmenters read ``mirror`` only.

    Attributes:
        samples: 0 for the posterior mean in one step; otherwise the number of masks that are drawn.
        steps: Denoising steps of each sample.
        seed: Of the starting noise.
        sampler: How samples are drawn.
        mirror: Average over the image and its three mirror images.
        fusion: How the samples become one probability map.
        style: The annotation style, one of the model's, or ``any``.
        widening: Factor of what a noisy mask changes in the coarse estimate, see `DiffusionSegmenter`.
        second_look: Segment the found lesion again, enlarged, and merge; see `segmenters.second_look`. A
            segmenter sees the network's input only and ignores it.
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
    """What a segmenter finds in a batch.

    Attributes:
        probability: B1HW in [0, 1], the posterior mean or the fusion of the samples.
        spread: B1HW, the standard deviation of the samples; 0 for fewer than two.
        samples: NB1HW in [0, 1], the N samples; None where none were drawn.
    """

    probability: Tensor
    spread: Tensor
    samples: Tensor | None = None


Graph = Callable[..., Sequence[Tensor]]
"""A part of a network as it runs: tensors in, tensors out, each with the batch first."""


@dataclass(frozen=True)
class Part:
    """A part of a segmenter's network that runs by itself, and is exported as one graph.

    module: ``forward(*inputs)`` gives a tuple of tensors. inputs: an example, named by input_names.
    """

    module: nn.Module
    inputs: tuple[Tensor, ...]
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]


class Segmenter(nn.Module, ABC):
    """What training, evaluation, prediction and export see of a model."""

    @property
    @abstractmethod
    def total_stride(self) -> int:
        """The number that height and width of an image must be multiples of."""

    @abstractmethod
    def loss(self, batch: Batch) -> Tensor:
        """Return the training loss of a batch, a scalar."""

    def training_state(self) -> dict[str, Tensor]:
        """Return what training goes on from beside the weights, and nothing else needs; most have nothing."""
        return {}

    def load_training_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what ``training_state`` returned."""

    @property
    def styles(self) -> tuple[str, ...]:
        """The annotation styles that can be asked for; most models have none."""
        return ()

    @abstractmethod
    def segment(self, image: Tensor, sampling: Sampling) -> Segmentation:
        """Segment images (B3HW in [-1, 1]); a result depends on its own image and the sampling only."""

    @abstractmethod
    def parts(self, image: Tensor) -> dict[str, Part]:
        """Return the parts of the network by name, with what an image (B3HW) makes of their inputs."""

    @abstractmethod
    def run_on(self, graphs: Mapping[str, Graph]) -> None:
        """Replace the network by graphs of its ``parts``; modules among them become the segmenter's own."""
