"""A network that maps an image to a mask in one pass."""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.schema import SamplingConfig
from mlffm_segdiff.data.batch import Batch
from mlffm_segdiff.losses.boundary_weight import BoundaryWeight
from mlffm_segdiff.losses.mask_loss import MaskLoss
from mlffm_segdiff.segmenters.base import MIRRORS, BaseSegmenter, Graph, Part, Segmentation
from mlffm_segdiff.segmenters.whole_batch import whole_loss


@runtime_checkable
class DeeplySupervised(Protocol):
    """A direct network that is trained on outputs at several sizes."""

    def supervise(self, image: Tensor) -> Sequence[tuple[float, Tensor]]:
        """Return weights, which sum to 1, and logits (B1hw, of the image's size or smaller), finest first."""


class DirectSegmenter(BaseSegmenter):
    """Trains a network that maps an image to a logit, and segments with it.

    The loss of a `DeeplySupervised` network is the weighted sum of the losses of its logits, each against the
    mask at its size, as in nnU-Net.

    Args:
        network: Network whose ``forward(image)`` returns the logit, B1HW.
        loss: Loss of a logit.
        weight: Boundary weight of the loss; it is that of a mask without noise.
    """

    def __init__(self, network: nn.Module, loss: MaskLoss, weight: BoundaryWeight) -> None:
        super().__init__()
        self.network = network
        self.mask_loss = loss
        self.weight = weight

    @property
    def total_stride(self) -> int:
        """The divisor of valid image heights and widths."""
        return int(self.network.total_stride)  # type: ignore[arg-type]

    def loss(self, batch: Batch) -> Tensor:
        """Compute the region loss of a batch, a scalar."""
        ones = batch.mask.new_ones(len(batch.mask))
        weight = self.weight(batch.distance, ones, torch.zeros_like(ones))
        losses = [
            share * whole_loss(self.mask_loss, batch.replica, logit, *truth)
            for share, logit in self._outputs(batch.image)
            for truth in [truth_at(logit, batch.mask, batch.distance, weight)]
        ]
        return torch.stack(losses).sum()

    def _outputs(self, image: Tensor) -> Sequence[tuple[float, Tensor]]:
        if isinstance(self.network, DeeplySupervised):
            return self.network.supervise(image)
        logit = self.network(image)
        if not isinstance(logit, Tensor):
            raise UserError(
                f"in training mode the network returns a {type(logit).__name__}, not a logit of B1HW; return "
                "only the logit, or give the network the method supervise() of DeeplySupervised"
            )
        return [(1.0, logit)]

    @torch.inference_mode()
    def segment(self, image: Tensor, sampling: SamplingConfig) -> Segmentation:
        """Segment images (B3HW in [-1, 1]); the spread is 0.

        With ``sampling.mirror`` the probability is the mean over `MIRRORS`, each flipped back.
        """
        if sampling.mirror:
            maps = [self._probability(image.flip(axes)).flip(axes) for axes in MIRRORS]
            probability = torch.stack(maps).mean(0)
        else:
            probability = self._probability(image)
        return Segmentation(probability, torch.zeros_like(probability))

    def _probability(self, image: Tensor) -> Tensor:
        return torch.sigmoid(self.network(image).float())

    def parts(self, image: Tensor) -> dict[str, Part]:
        """Return the one part, ``network``."""
        return {"network": Part(_AsGraph(self.network), (image,), ("image",), ("logit",))}

    def run_on(self, graphs: Mapping[str, Graph]) -> None:
        """Replace the network by the graph ``network``."""
        self.network = _AsNetwork(graphs["network"], self.total_stride)


def truth_at(logit: Tensor, mask: Tensor, distance: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return mask, distance and weight (B1HW) at the size of a logit (B1hw), from the nearest pixels.

    Distances are converted to pixels of the smaller image.
    """
    size = logit.shape[2:]
    if size == mask.shape[2:]:
        return mask, distance, weight
    smaller = (F.interpolate(x, size, mode="nearest-exact") for x in (mask, distance, weight))
    small_mask, small_distance, small_weight = smaller
    return small_mask, small_distance * (size[0] / mask.shape[2]), small_weight


class _AsGraph(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: Tensor) -> tuple[Tensor]:
        return (self.network(*inputs),)


class _AsNetwork(nn.Module):
    def __init__(self, graph: Graph, total_stride: int) -> None:
        super().__init__()
        self.graph = graph
        self.total_stride = total_stride

    def forward(self, image: Tensor) -> Tensor:
        (logit,) = self.graph(image)
        return logit
