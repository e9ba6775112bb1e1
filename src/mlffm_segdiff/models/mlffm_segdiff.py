"""The denoiser of MLFFM-SegDiff (Gu et al. 2026, arXiv:2606.26712), formulated in docs/METHOD.md."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Any, Literal

import torch.nn.functional as F
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor, nn

from mlffm_segdiff.blocks.decoder import decode_skips
from mlffm_segdiff.blocks.gated_injection import GatedInjection
from mlffm_segdiff.blocks.late_addition import LateAddition
from mlffm_segdiff.blocks.mlffm import MLFFM
from mlffm_segdiff.blocks.residual import ResidualBlock, group_norm
from mlffm_segdiff.blocks.time_embedding import TimeEmbedding
from mlffm_segdiff.config.schema import ModelConfig


class MLFFMSegDiffConfig(ModelConfig):
    """The recipe's section. size fills in what is not given; fusion_width null means plain skips.

    mask_widths: of the coarsest levels of the image path; the finer ones are met at detail_width channels.
    interaction none: the image's features are added to the skips, and the mask path does not see them.
    """

    name: Literal["mlffm_segdiff"]
    size: Literal["tiny", "small", "base"] = "small"
    image_widths: Annotated[tuple[PositiveInt, ...], Field(min_length=1)]
    image_blocks: tuple[PositiveInt, ...]
    mask_widths: Annotated[tuple[PositiveInt, ...], Field(min_length=1)]
    detail_width: PositiveInt
    fusion_width: PositiveInt | None
    stride: PositiveInt = 2
    interaction: Literal["gated", "none"] = "gated"
    attention: bool = True
    alignment: bool = True
    adaptive: bool = True

    @model_validator(mode="before")
    @classmethod
    def fill_in_size(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Take the widths of ``size`` where a recipe names none."""
        return {**SIZES.get(str(values.get("size", "small")), {}), **values}

    @model_validator(mode="after")
    def one_entry_a_level(self) -> "MLFFMSegDiffConfig":
        """Refuse lists whose lengths do not go together."""
        if len(self.image_widths) != len(self.image_blocks):
            raise ValueError("image_widths and image_blocks need one entry for each level")
        if len(self.mask_widths) > len(self.image_widths):
            raise ValueError("mask_widths has more levels than image_widths; give it as many or fewer")
        return self


SIZES: dict[str, dict[str, Any]] = {
    "tiny": {
        "image_widths": (8, 16, 32),
        "image_blocks": (1, 1, 1),
        "mask_widths": (16, 16),
        "detail_width": 8,
        "fusion_width": 8,
    },
    "small": {
        "image_widths": (24, 48, 96, 192),
        "image_blocks": (1, 2, 3, 3),
        "mask_widths": (32, 48, 64),
        "detail_width": 16,
        "fusion_width": 24,
    },
    "base": {
        "image_widths": (64, 128, 256, 384),
        "image_blocks": (2, 2, 3, 2),
        "mask_widths": (64, 96, 128),
        "detail_width": 32,
        "fusion_width": 48,
    },
}


class ImagePath(nn.Module):
    """The time-independent path: features I_1..I_L of the image, each level half the size of the last."""

    def __init__(self, widths: Sequence[int], blocks: Sequence[int], stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.stem = nn.Conv2d(3 * stride**2, widths[0], 3, padding=1)
        self.down = nn.ModuleList(
            nn.Conv2d(fine, coarse, 3, stride=2, padding=1) for fine, coarse in pairwise(widths)
        )
        self.levels = nn.ModuleList(
            nn.Sequential(*(ResidualBlock(width, width) for _ in range(count)))
            for width, count in zip(widths, blocks, strict=True)
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        """Map an image (B3HW in [-1, 1]) to I_1..I_L, B C_l H/(stride 2^(l-1)) W/(stride 2^(l-1))."""
        h = self.stem(F.pixel_unshuffle(image, self.stride))
        features = []
        for number, level in enumerate(self.levels):
            if number:
                h = self.down[number - 1](h)
            h = level(h)
            features.append(h)
        return features


class MaskLevel(nn.Module):
    """One level of the mask path: h <- RB(h, t); gated injection; h <- RB(h, t), which is the skip S_l.

    Without interaction: h <- RB(RB(h, t), t), and S_l is h with the image's value added.
    """

    def __init__(self, image_width: int, width: int, time_width: int, interaction: bool) -> None:
        super().__init__()
        self.interaction = interaction
        self.before = ResidualBlock(width, width, time_width)
        self.inject = injection(image_width, width, interaction)
        self.after = ResidualBlock(width, width, time_width)

    def forward(self, h: Tensor, time: Tensor, projected: Tensor) -> tuple[Tensor, Tensor]:
        """Map h (B C H W) to what the next level reads and to the skip S_l, both of the same shape."""
        h = self.before(h, time)
        if self.interaction:
            h = self.after(self.inject(h, projected), time)
            return h, h
        h = self.after(h, time)
        return h, self.inject(h, projected)


def injection(image_width: int, width: int, interaction: bool) -> GatedInjection | LateAddition:
    """Return the block by which the image's features enter the mask path, or its skip alone."""
    return GatedInjection(image_width, width) if interaction else LateAddition(image_width, width)


class DetailLevel(nn.Module):
    """One level finer than the mask path: h is brought up by a pixel-shuffle and meets the image there."""

    def __init__(self, coarse_width: int, image_width: int, width: int, interaction: bool) -> None:
        super().__init__()
        self.norm = group_norm(coarse_width)
        self.up = nn.Conv2d(coarse_width, 4 * width, 3, padding=1)
        self.inject = injection(image_width, width, interaction)

    def forward(self, h: Tensor, projected: Tensor) -> Tensor:
        """Map h (B C_coarse H W) to B C 2H 2W."""
        injected: Tensor = self.inject(F.pixel_shuffle(self.up(F.silu(self.norm(h))), 2), projected)
        return injected


class MLFFMSegDiff(nn.Module):
    """Dual-path U-Net over masks with cached image features and a fusion module on its skips.

    image_widths, image_blocks: channels and residual blocks a level of the image path, finest first.
    mask_widths: channels a level of the mask path, which has the image path's coarsest levels; the finer ones
    are met again on the way out, at ``detail_width`` channels. stride: the pixel-unshuffle factor of the
    image stem; H and W must be multiples of ``total_stride``. fusion: the MLFFM over ``mask_widths``, None
    for plain skips. mask_channels: 1, or 2 where the last estimate comes with the noisy mask
    (self-conditioning). interaction: False for paths that meet on the skips and the way out alone.
    """

    def __init__(
        self,
        image_widths: Sequence[int],
        image_blocks: Sequence[int],
        mask_widths: Sequence[int],
        detail_width: int,
        stride: int = 2,
        fusion: MLFFM | None = None,
        mask_channels: int = 1,
        interaction: bool = True,
    ) -> None:
        super().__init__()
        time_width = 4 * mask_widths[-1]
        finer = len(image_widths) - len(mask_widths)
        self.stride = stride
        self.mask_stride = stride * 2**finer
        self.total_stride = stride * 2 ** (len(image_widths) - 1)
        self.image_path = ImagePath(image_widths, image_blocks, stride)
        self.time = TimeEmbedding(time_width)
        self.stem = nn.Conv2d(mask_channels * self.mask_stride**2, mask_widths[0], 3, padding=1)
        self.levels = nn.ModuleList(
            MaskLevel(image_width, width, time_width, interaction)
            for image_width, width in zip(image_widths[finer:], mask_widths, strict=True)
        )
        steps = list(pairwise(mask_widths))
        self.down = nn.ModuleList(nn.Conv2d(fine, coarse, 3, stride=2, padding=1) for fine, coarse in steps)
        self.fusion = fusion if fusion is not None else nn.Identity()
        self.up = nn.ModuleList(nn.Conv2d(coarse, fine, 1) for fine, coarse in steps)
        self.decode = nn.ModuleList(ResidualBlock(fine, fine, time_width) for fine, _ in steps)
        widths = [*[detail_width] * finer, mask_widths[0]]
        self.details = nn.ModuleList(
            DetailLevel(widths[level + 1], image_widths[level], detail_width, interaction)
            for level in range(finer)
        )
        self.head_norm = group_norm(widths[0])
        self.head = nn.Conv2d(widths[0], stride**2, 3, padding=1)

    def encode(self, image: Tensor) -> list[Tensor]:
        """Map an image (B3HW in [-1, 1]) to all that denoising needs of it, independent of mask and time.

        Returns for each level, finest first, the projected [W_k k, v], or v where the paths do not interact.
        """
        levels = [*self.details, *self.levels]
        pairs = zip(levels, self.image_path(image), strict=True)
        return [level.inject.project(i) for level, i in pairs]

    def denoise(self, noisy_mask: Tensor, t: Tensor, features: Sequence[Tensor]) -> Tensor:
        """Map x_t (B mask_channels H W), times t (B) and the image's features to a logit or noise (B1HW)."""
        finer = len(self.details)
        time = self.time(t)
        h = self.stem(F.pixel_unshuffle(noisy_mask, self.mask_stride))
        skips = []
        for number, level in enumerate(self.levels):
            if number:
                h = self.down[number - 1](h)
            h, skip = level(h, time, features[finer + number])
            skips.append(skip)
        h = decode_skips(self.fusion(skips), self.up, self.decode, time)
        for number in reversed(range(finer)):
            h = self.details[number](h, features[number])
        logit: Tensor = F.pixel_shuffle(self.head(F.silu(self.head_norm(h))), self.stride)
        return logit

    def forward(self, image: Tensor, noisy_mask: Tensor, t: Tensor) -> Tensor:
        """Encode and denoise once: B3HW, B mask_channels H W and B to B1HW."""
        return self.denoise(noisy_mask, t, self.encode(image))
