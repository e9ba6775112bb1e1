"""A network that maps an image to a mask in one pass."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mlffm_segdiff.data.batch import Batch
from mlffm_segdiff.losses.boundary_weight import BoundaryWeight
from mlffm_segdiff.losses.region import RegionLoss
from mlffm_segdiff.segmenters.base import Graph, Part, Sampling, Segmentation, Segmenter


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

    def parts(self, image: Tensor) -> dict[str, Part]:
        """Return the one part, ``network``."""
        return {"network": Part(_AsGraph(self.network), (image,), ("image",), ("logit",))}

    def run_on(self, graphs: Mapping[str, Graph]) -> None:
        """Replace the network by the graph ``network``."""
        self.network = _AsNetwork(graphs["network"])


class _AsGraph(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: Tensor) -> tuple[Tensor]:
        return (self.network(*inputs),)


class _AsNetwork(nn.Module):
    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph = graph

    def forward(self, image: Tensor) -> Tensor:
        (logit,) = self.graph(image)
        return logit
