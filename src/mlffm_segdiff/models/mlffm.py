"""The Multi-Level Feature Fusion Module (MLFFM): attention, scale alignment and adaptive weights on skips.

The paper (Gu et al. 2026, arXiv:2606.26712) names the parts; the formulas are ours, see docs/METHOD.md.
S_l is the skip of level l, A_l the skip after attention, P_l the skip projected to the module's width.
"""

from collections.abc import Sequence
from typing import Self

import torch
import torch.nn.functional as F
from pydantic import model_validator
from torch import Tensor, nn

from mlffm_segdiff.config.model_config import ModelConfig
from mlffm_segdiff.config.section import Width
from mlffm_segdiff.models.unet_blocks import group_norm


class FusionConfig(ModelConfig):
    """The keys of a model's section that describe an MLFFM.

    Attributes:
        fusion_width: Channels within the MLFFM; null for plain skips without it.
        attention: CBAM on each skip.
        alignment: Learned projections to ``fusion_width`` channels; otherwise averages over channels.
        adaptive: Learned weights for each pixel and level; otherwise 1 / L.
    """

    fusion_width: Width | None = None
    attention: bool = True
    alignment: bool = True
    adaptive: bool = True

    @model_validator(mode="after")
    def parts_need_a_width(self) -> Self:
        """Refuse parts of an MLFFM that the model does not have."""
        changed = [key for key in self.changed_keys() if key in ("attention", "alignment", "adaptive")]
        if self.fusion_width is None and changed:
            raise ValueError(
                f"model.{changed[0]} has no effect without an MLFFM, that is with model.fusion_width=null; "
                f"leave out model.{changed[0]}"
            )
        return self

    def build_fusion(self, widths: Sequence[int]) -> "MLFFM | None":
        """Build the MLFFM over skips of ``widths`` channels; None for plain skips."""
        if self.fusion_width is None:
            return None
        return MLFFM(
            widths,
            self.fusion_width,
            attention=self.attention,
            alignment=self.alignment,
            adaptive=self.adaptive,
        )


class ChannelAttention(nn.Module):
    """S * sigma(MLP(GAP S) + MLP(GMP S)) (Woo et al. 2018, arXiv:1807.06521, eq. 2).

    Args:
        channels: Channels of the input.
        reduction: The MLP's hidden layer has ``channels / reduction`` units, at least four.
    """

    def __init__(self, channels: int, reduction: int = 8) -> None:
        super().__init__()
        hidden = max(channels // reduction, 4)
        self.mlp = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels))

    def forward(self, s: Tensor) -> Tensor:
        """Scale each channel of s (B C H W) by its attention in (0, 1)."""
        logits = self.mlp(s.mean(dim=(2, 3))) + self.mlp(s.amax(dim=(2, 3)))
        return s * torch.sigmoid(logits)[:, :, None, None]


class SpatialAttention(nn.Module):
    """A * sigma(Conv7x7[max_c A; mean_c A]) (Woo et al. 2018, arXiv:1807.06521, eq. 3)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 7, padding=3)

    def forward(self, a: Tensor) -> Tensor:
        """Scale each pixel of a (B C H W) by its attention in (0, 1)."""
        pooled = torch.cat([a.amax(dim=1, keepdim=True), a.mean(dim=1, keepdim=True)], dim=1)
        return a * torch.sigmoid(self.conv(pooled))


class CBAM(nn.Sequential):
    """Convolutional block attention: channel attention, then spatial attention (Woo et al. 2018)."""

    def __init__(self, channels: int) -> None:
        super().__init__(ChannelAttention(channels), SpatialAttention())


class LateralProjection(nn.Conv2d):
    """P = Conv1x1(A), the lateral connection of a feature pyramid (Lin et al. 2017, arXiv:1612.03144)."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__(channels, width, 1)


class ChannelPool(nn.Module):
    """Average runs of channels down to ``width`` channels: the control for a learned projection."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, a: Tensor) -> Tensor:
        """Map B C H W to B width H W."""
        batch, _, height, width = a.shape
        pooled = F.adaptive_avg_pool1d(a.flatten(2).transpose(1, 2), self.width)
        return pooled.transpose(1, 2).reshape(batch, self.width, height, width)


def resample(p: Tensor, size: tuple[int, int]) -> Tensor:
    """Bring p (B C H W) to another level's size: area average where p is finer, bilinear where coarser."""
    height, width = p.shape[2:]
    if (height, width) == size:
        return p
    if height > size[0]:
        return F.avg_pool2d(p, (height // size[0], width // size[1]))
    return F.interpolate(p, size=size, mode="bilinear", align_corners=False)


class AdaptiveWeights(nn.Module):
    """lambda_{.->l} = softmax_j Conv1x1[u_{1->l}; ..; u_{L->l}] with u_j = Conv1x1(P_j).

    After ASFF (Liu et al. 2019, arXiv:1911.09516): one weight for each pixel, level and source level.

    Args:
        levels: The number of levels L.
        width: Channels of each P_j.
        compressed: Channels of each u_j.
    """

    def __init__(self, levels: int, width: int, compressed: int = 8) -> None:
        super().__init__()
        self.compress = nn.ModuleList(nn.Conv2d(width, compressed, 1) for _ in range(levels))
        self.weigh = nn.ModuleList(nn.Conv2d(levels * compressed, levels, 1) for _ in range(levels))

    def forward(self, aligned: Sequence[Tensor]) -> list[Tensor]:
        """Map P_1..P_L (B d H_l W_l) to lambda_{.->l} (B L H_l W_l), which sums to 1 over its L channels."""
        compressed = [compress(p) for compress, p in zip(self.compress, aligned, strict=True)]
        sizes = [(p.shape[2], p.shape[3]) for p in aligned]
        return [
            torch.softmax(weigh(torch.cat([resample(u, size) for u in compressed], dim=1)), dim=1)
            for weigh, size in zip(self.weigh, sizes, strict=True)
        ]


class UniformWeights(nn.Module):
    """The same weight, 1 / L, for every level: the control for adaptive weights."""

    def forward(self, aligned: Sequence[Tensor]) -> list[Tensor]:
        """Map P_1..P_L (B d H_l W_l) to constant weights (B L H_l W_l)."""
        levels = len(aligned)
        return [
            p.new_full((1, 1, 1, 1), 1 / levels).expand(p.shape[0], levels, p.shape[2], p.shape[3])
            for p in aligned
        ]


class MLFFM(nn.Module):
    """S'_l = S_l + Conv3x3(SiLU(GN(sum_j lambda_{j->l} * R_{j->l}))) over skips S_1..S_L (docs/METHOD.md).

    R_{j->l} is P_j at the resolution of level l. The last convolution starts at zero, so a new module is
    exactly the identity.

    Args:
        channels: Channels of each skip, finest first.
        width: Channels of each P_j.
        attention: CBAM on each skip; otherwise A_l = S_l.
        alignment: Learned lateral projections; otherwise averages over channels.
        adaptive: Adaptive weights; otherwise uniform ones.
    """

    def __init__(
        self,
        channels: Sequence[int],
        width: int,
        attention: bool = True,
        alignment: bool = True,
        adaptive: bool = True,
    ) -> None:
        super().__init__()
        self.attend = nn.ModuleList(CBAM(c) if attention else nn.Identity() for c in channels)
        self.align = nn.ModuleList(
            LateralProjection(c, width) if alignment else ChannelPool(width) for c in channels
        )
        self.weights = AdaptiveWeights(len(channels), width) if adaptive else UniformWeights()
        self.merge = nn.ModuleList(
            nn.Sequential(group_norm(width), nn.SiLU(), nn.Conv2d(width, c, 3, padding=1)) for c in channels
        )
        for sequence in self.merge:
            last = sequence[-1]  # type: ignore[index]
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(self, skips: Sequence[Tensor]) -> list[Tensor]:
        """Map skips S_1..S_L (B C_l H_l W_l, finest first) to S'_1..S'_L of the same shapes."""
        attended = [attend(s) for attend, s in zip(self.attend, skips, strict=True)]
        aligned = [align(a) for align, a in zip(self.align, attended, strict=True)]
        return [
            skip + merge(fuse(aligned, weights))
            for skip, merge, weights in zip(skips, self.merge, self.weights(aligned), strict=True)
        ]


def fuse(aligned: Sequence[Tensor], weights: Tensor) -> Tensor:
    """Fuse levels by weights: sum_j lambda_j * R_j (docs/METHOD.md).

    Args:
        aligned: Projected skip P_j of each of L levels, B d H_j W_j; R_j is P_j resampled to H x W.
        weights: Weights lambda of the levels at each pixel, B L H W.

    Returns:
        Fused map, B d H W.
    """
    size = (weights.shape[2], weights.shape[3])
    (first, *others), (weight, *further) = aligned, torch.split(weights, 1, dim=1)
    fused = resample(first, size) * weight
    for p, weight in zip(others, further, strict=True):
        fused = torch.addcmul(fused, resample(p, size), weight)
    return fused
