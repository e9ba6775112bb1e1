"""Scale alignment: the channels and the resolution of one level brought to another's."""

import torch.nn.functional as F
from torch import Tensor, nn


def resample(p: Tensor, size: tuple[int, int]) -> Tensor:
    """Bring p (B C H W) to ``size``: area average where p is finer, bilinear where it is coarser."""
    height, width = p.shape[2:]
    if (height, width) == size:
        return p
    if height > size[0]:
        return F.avg_pool2d(p, (height // size[0], width // size[1]))
    return F.interpolate(p, size=size, mode="bilinear", align_corners=False)


class ChannelPool(nn.Module):
    """Bring C channels to ``width`` by averages over runs of channels: alignment with nothing learned."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, a: Tensor) -> Tensor:
        """Map B C H W to B width H W."""
        batch, _, height, width = a.shape
        pooled = F.adaptive_avg_pool1d(a.flatten(2).transpose(1, 2), self.width)
        return pooled.transpose(1, 2).reshape(batch, self.width, height, width)


class LateralProjection(nn.Conv2d):
    """P = Conv1x1(A), the lateral connection of a feature pyramid (Lin et al. 2017)."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__(channels, width, 1)
