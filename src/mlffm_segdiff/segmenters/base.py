"""The one contract of every model: a loss to train by and masks to use."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from mlffm_segdiff.data.batch import Batch
from mlffm_segdiff.diffusion.sampler import SamplerName


@dataclass(frozen=True)
class Sampling:
    """How masks are drawn. Direct segmenters draw nothing and ignore it."""

    steps: int = 4
    samples: int = 1
    seed: int = 0
    sampler: SamplerName = "ddim"


@dataclass(frozen=True)
class Segmentation:
    """probability: B1HW in [0, 1], mean over the samples. spread: B1HW, their standard deviation (one: 0)."""

    probability: Tensor
    spread: Tensor


class Segmenter(nn.Module, ABC):
    """What training, evaluation, prediction and export see of a model."""

    @property
    @abstractmethod
    def total_stride(self) -> int:
        """The number that height and width of an image must be multiples of."""

    @abstractmethod
    def loss(self, batch: Batch) -> Tensor:
        """Return the training loss of a batch, a scalar."""

    @abstractmethod
    def segment(self, image: Tensor, ids: Sequence[str], sampling: Sampling) -> Segmentation:
        """Segment images (B3HW in [-1, 1]); a case's result depends on its image, id and sampling alone."""
