"""The semantic segmentation head of feature pyramids (Kirillov et al. 2019, arXiv:1901.02446)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def upsampling_stage(channels_in: int, channels_out: int, groups: int, twice: bool) -> nn.Sequential:
    """Return a 3 x 3 convolution, group normalisation, ReLU, and bilinear upsampling by two if ``twice``."""
    layers: list[nn.Module] = [
        nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False),
        nn.GroupNorm(groups, channels_out),
        nn.ReLU(),
    ]
    if twice:
        layers.append(nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False))
    return nn.Sequential(*layers)


class SemanticHead(nn.Module):
    """All levels of a pyramid brought to the finest one's size, summed, and scored by a 1 x 1 convolution.

    Level l passes max(l, 1) stages, of which l upsample by two. channels: of the pyramid; width: of the
    stages, a multiple of ``groups``.
    """

    def __init__(self, levels: int, channels: int, width: int, groups: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(
                *(
                    upsampling_stage(width if number else channels, width, groups, twice=level > 0)
                    for number in range(max(level, 1))
                )
            )
            for level in range(levels)
        )
        self.score = nn.Conv2d(width, 1, 1)

    def forward(self, pyramid: Sequence[Tensor]) -> Tensor:
        """Map levels of B channels H/2^l W/2^l, finest first, to a logit (B1HW)."""
        branches = zip(self.branches, pyramid, strict=True)
        logit: Tensor = self.score(torch.stack([branch(p) for branch, p in branches]).sum(dim=0))
        return logit
