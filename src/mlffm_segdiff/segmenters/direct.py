"""A network that maps an image to a mask in one pass."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mlffm_segdiff.data.batch import Batch
from mlffm_segdiff.losses.boundary_weight import BoundaryWeight
from mlffm_segdiff.losses.region import RegionLoss
from mlffm_segdiff.segmenters.base import Sampling, Segmentation, Segmenter


class DirectSegmenter(Segmenter):
    """``network.forward(image)`` gives the logit. The boundary weight is that of a mask without noise."""

    def __init__(
        self, network: nn.Module, loss: RegionLoss, weight: BoundaryWeight, total_stride: int
    ) -> None:
        super().__init__()
        self.network = network
        self.region_loss = loss
        self.weight = weight
        self._total_stride = total_stride

    @property
    def total_stride(self) -> int:
        """The number that height and width of an image must be multiples of."""
        return self._total_stride

    def loss(self, batch: Batch) -> Tensor:
        """Return the region loss of a batch, a scalar."""
        ones = batch.mask.new_ones(len(batch.mask))
        weight = self.weight(batch.distance, ones, torch.zeros_like(ones))
        loss: Tensor = self.region_loss(self.network(batch.image), batch.mask, batch.distance, weight)
        return loss

    @torch.inference_mode()
    def segment(self, image: Tensor, ids: Sequence[str], sampling: Sampling) -> Segmentation:  # noqa: ARG002
        """Segment images (B3HW in [-1, 1]); the spread is 0."""
        probability = torch.sigmoid(self.network(image).float())
        return Segmentation(probability, torch.zeros_like(probability))
