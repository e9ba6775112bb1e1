"""Layers that depend on the batch, computed over the whole batch of processes that train together."""

import torch
import torch.nn.functional as F
from lightning.pytorch.plugins.layer_sync import TorchSyncBatchNorm
from torch import Tensor, distributed, nn

from mlffm_segdiff.data.batch import Replica
from mlffm_segdiff.segmenters.whole_batch import gather


class WholeBatchLayers(TorchSyncBatchNorm):
    """Makes batch normalisation and dropout those of the whole batch while a network is trained.

    Batch normalisation is torch's SyncBatchNorm on GPUs, and `SyncedBatchNorm2d` on CPUs, which that does not
    support.

    Args:
        on_cpu: Whether the network is trained on CPUs.
    """

    def __init__(self, on_cpu: bool) -> None:
        self.classes: dict[type[nn.Module], type[nn.Module]] = {nn.Dropout: WholeBatchDropout}
        if on_cpu:
            self.classes[nn.BatchNorm2d] = SyncedBatchNorm2d
        self.on_cpu = on_cpu

    def apply(self, model: nn.Module) -> nn.Module:
        """Change the classes of such layers; their parameters stay the same objects."""
        _change_classes(model, self.classes)
        return model if self.on_cpu else super().apply(model)

    def revert(self, model: nn.Module) -> nn.Module:
        """Undo `apply`."""
        _change_classes(model, {changed: original for original, changed in self.classes.items()})
        return model if self.on_cpu else super().revert(model)


def _change_classes(model: nn.Module, classes: dict[type[nn.Module], type[nn.Module]]) -> None:
    for layer in model.modules():
        layer.__class__ = classes.get(type(layer), type(layer))


class SyncedBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation with the statistics of all processes, on any device (Ioffe & Szegedy 2015)."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise x, BCHW; in training by the mean and variance over the rows of all processes."""
        if not self.training:
            return super().forward(x)
        values = x.to(torch.promote_types(x.dtype, torch.float32))
        variance, mean = torch.var_mean(values, dim=(0, 2, 3), correction=0)
        own = torch.stack([mean.new_full(mean.shape, values.numel() / len(mean)), mean, variance])
        counts, means, variances = gather(own).unbind(1)
        count = counts.sum(0)
        mean = (counts * means).sum(0) / count
        variance = (counts * (variances + (means - mean).square())).sum(0) / count
        self._track(mean.detach(), (variance * count / (count - 1)).detach())
        scale = torch.rsqrt(variance + self.eps)
        if self.affine:
            scale = scale * self.weight
        centred = (values - mean.view(-1, 1, 1)) * scale.view(-1, 1, 1)
        return (centred + self.bias.view(-1, 1, 1) if self.affine else centred).to(x.dtype)

    def _track(self, mean: Tensor, unbiased: Tensor) -> None:
        """Update the running statistics as torch's layer does."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        rate = 1 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, rate)
        self.running_var.lerp_(unbiased, rate)


class WholeBatchDropout(nn.Dropout):
    """Dropout whose zeros are drawn for the rows of all processes, so that each row has its own."""

    def forward(self, x: Tensor) -> Tensor:
        """Drop entries of x (B ...) in training."""
        if not (self.training and self.p):
            return super().forward(x)
        replica = Replica(distributed.get_rank(), distributed.get_world_size())
        # cat keeps the memory format, in whose order the zeros are drawn
        kept = F.dropout(torch.cat([torch.ones_like(x)] * replica.world_size), self.p)
        return x * replica.of(kept)
