"""The denoiser of MLFFM-SegDiff (Gu et al. 2026, arXiv:2606.26712), as formulated in docs/METHOD.md.

The image path depends on neither the noisy mask nor the timestep; the mask path depends on both and reads the
image's features by gated injection. The MLFFM (mlffm.py) fuses the skips of the mask path.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from mlffm_segdiff.config.schema import ANY_STYLE
from mlffm_segdiff.config.section import Depth, Width
from mlffm_segdiff.models.encoders import EfficientNetLite, EncoderName, ScratchEncoder
from mlffm_segdiff.models.mlffm import MLFFM, FusionConfig
from mlffm_segdiff.models.registry import register_model
from mlffm_segdiff.models.unet_blocks import ResidualBlock, TimeEmbedding, decode_skips, double, group_norm

SIZES: dict[str, dict[str, Any]] = {
    "tiny": {
        "encoder": "scratch",
        "encoder_widths": (8, 16, 32),
        "encoder_blocks": (1, 1, 1),
        "mask_widths": (16, 16),
        "detail_width": 8,
        "fusion_width": 8,
    },
    "small": {
        "encoder": "efficientnet_lite2",
        "mask_widths": (32, 64, 128, 160),
        "detail_width": 16,
        "fusion_width": 24,
    },
    "base": {
        "encoder": "efficientnet_lite2",
        "mask_widths": (64, 96, 128, 160),
        "detail_width": 32,
        "fusion_width": 48,
    },
}


@register_model("mlffm_segdiff")
class MLFFMSegDiffConfig(FusionConfig):
    """The recipe section of MLFFM-SegDiff. ``size`` sets every width that is not given.

    Attributes:
        size: Sets the widths.
        encoder: The image path.
        encoder_widths: Channels of each level of the encoder ``scratch``.
        encoder_blocks: Residual blocks of each level of the encoder ``scratch``.
        mask_widths: Channels of the mask path, which joins the encoder's coarsest levels.
        detail_width: Channels of the finer levels, which only the decoder has.
        interaction: ``none`` adds the image's features to the skips, where the mask path does not read them.
        styles: Data sets that have their own annotation style; empty for one style.
    """

    contract = "denoiser"
    citation = "Gu et al. 2026, arXiv:2606.26712"

    size: Literal["tiny", "small", "base"] = "small"
    encoder: EncoderName
    encoder_widths: tuple[Width, ...] = ()
    encoder_blocks: tuple[Depth, ...] = ()
    mask_widths: Annotated[tuple[Width, ...], Field(min_length=1, max_length=10)]
    detail_width: Width
    interaction: Literal["gated", "none"] = "gated"
    styles: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def fill_in_size(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Fill in the widths of ``size`` that a recipe leaves out; ``encoder_*`` only for ``scratch``."""
        filled = dict(SIZES.get(str(values.get("size", "small")), {}))
        if values.get("encoder", "scratch") != "scratch":
            filled = {key: value for key, value in filled.items() if not key.startswith("encoder_")}
        return {**filled, **values}

    @model_validator(mode="after")
    def widths_match(self) -> "MLFFMSegDiffConfig":
        """Refuse widths that do not fit the encoder, and styles without a name of their own."""
        widths, scratch = self.encoder_widths, self.encoder == "scratch"
        if not scratch and (widths or self.encoder_blocks):
            raise ValueError(f"encoder_widths and encoder_blocks are for encoder scratch, not {self.encoder}")
        if scratch and not (widths and len(widths) == len(self.encoder_blocks)):
            raise ValueError(
                "encoder scratch needs encoder_widths and encoder_blocks, one entry for each level"
            )
        if len(set(self.styles) - {"", ANY_STYLE}) < len(self.styles):
            raise ValueError(
                f"styles={list(self.styles)} must be names of data sets, each once; {ANY_STYLE!r} is always "
                "there and not one of them"
            )
        levels = len(widths) or 5
        if len(self.mask_widths) > levels:
            raise ValueError(f"mask_widths has more levels than the encoder; give it {levels} or fewer")
        if len(self.mask_widths) == levels and self.detail_width != SIZES[self.size]["detail_width"]:
            raise ValueError("detail_width has no effect with a mask path of all levels; leave it out")
        return self

    def build(self, mask_channels: int) -> "MLFFMSegDiff":
        """Build the denoiser with fresh weights."""
        fusion = self.build_fusion(self.mask_widths)
        return MLFFMSegDiff(
            ScratchEncoder(self.encoder_widths, self.encoder_blocks)
            if self.encoder == "scratch"
            else EfficientNetLite(self.encoder),
            mask_widths=self.mask_widths,
            detail_width=self.detail_width,
            fusion=fusion,
            mask_channels=mask_channels,
            interaction=self.interaction == "gated",
            styles=self.styles,
        )


class GatedInjection(nn.Module):
    """h <- h * sigmoid(Conv1x1[h, k]) + v with [k, v] = Conv1x1(I) (docs/METHOD.md).

    Conv1x1[h, k] is split into W_h h + W_k k: ``project`` depends on the image only and runs once per image,
    ``forward`` runs in each denoising step.
    """

    def __init__(self, image_channels: int, mask_channels: int) -> None:
        super().__init__()
        self.key_value = nn.Conv2d(image_channels, 2 * mask_channels, 1)
        self.gate_mask = nn.Conv2d(mask_channels, mask_channels, 1)
        self.gate_key = nn.Conv2d(mask_channels, mask_channels, 1, bias=False)

    def project(self, image_features: Tensor) -> Tensor:
        """Map image features (B C_image H W) to [W_k k, v] (B 2*C_mask H W)."""
        key, value = self.key_value(image_features).chunk(2, dim=1)
        return torch.cat([self.gate_key(key), value], dim=1)

    def forward(self, h: Tensor, projected: Tensor) -> Tensor:
        """Gate the mask path's h (B C_mask H W) by both paths and add the image's value."""
        key, value = projected.chunk(2, dim=1)
        return torch.addcmul(value, h, torch.sigmoid(self.gate_mask(h) + key))


class LateAddition(nn.Module):
    """h + v with v = Conv1x1(I): the control for `GatedInjection`, for paths that do not interact."""

    def __init__(self, image_channels: int, mask_channels: int) -> None:
        super().__init__()
        self.value = nn.Conv2d(image_channels, mask_channels, 1)

    def project(self, image_features: Tensor) -> Tensor:
        """Map image features (B C_image H W) to v (B C_mask H W)."""
        value: Tensor = self.value(image_features)
        return value

    def forward(self, h: Tensor, projected: Tensor) -> Tensor:
        """Add the image's value to the mask path's h (B C_mask H W)."""
        return h + projected


class MaskLevel(nn.Module):
    """One level of the mask path: h <- RB(h + W x_l, t); gated injection; h <- RB(h, t), the skip S_l.

    x_l is the noisy mask at the level's resolution, see `noise_preserving_average`. Without interaction:
    h <- RB(RB(h + W x_l, t), t), and S_l is h with the image's value added.
    """

    def __init__(
        self, image_width: int, width: int, time_width: int, interaction: bool, mask_channels: int
    ) -> None:
        super().__init__()
        self.interaction = interaction
        self.read = nn.Conv2d(mask_channels, width, 1, bias=False)
        self.before = ResidualBlock(width, width, time_width)
        self.inject = (GatedInjection if interaction else LateAddition)(image_width, width)
        self.after = ResidualBlock(width, width, time_width)

    def forward(self, h: Tensor, x: Tensor, time: Tensor, projected: Tensor) -> tuple[Tensor, Tensor]:
        """Map h (B C H W) and x_l (B mask_channels H W) to h and the skip S_l, both B C H W."""
        h = self.before(h + self.read(x), time)
        if self.interaction:
            h = self.after(self.inject(h, projected), time)
            return h, h
        h = self.after(h, time)
        return h, self.inject(h, projected)


def noise_preserving_average(x: Tensor, stride: int) -> Tensor:
    """Average x (B C H W) over squares of ``stride`` pixels and multiply by ``stride``.

    White noise keeps its variance, and what is constant over a square grows by ``stride``: under strong noise
    only averages over many pixels show where the lesion is.
    """
    return stride * F.avg_pool2d(x, stride)


class DetailLevel(nn.Module):
    """One level finer than the mask path: h is projected and doubled, and reads the image's features."""

    def __init__(self, coarse_width: int, image_width: int, width: int, interaction: bool) -> None:
        super().__init__()
        self.project = nn.Conv2d(coarse_width, width, 1)
        self.inject = (GatedInjection if interaction else LateAddition)(image_width, width)
        self.after = ResidualBlock(width, width)

    def forward(self, h: Tensor, projected: Tensor) -> Tensor:
        """Map h (B C_coarse H W) to B C 2H 2W."""
        refined: Tensor = self.after(self.inject(double(self.project(h)), projected))
        return refined


class MLFFMSegDiff(nn.Module):
    """Dual-path U-Net over masks, with image features computed once and the MLFFM on its skips.

    The logit is computed at half the image's resolution and doubled bilinearly: a head that writes a block of
    pixels from one feature leaves a grid along uncertain borders. ``total_stride`` must divide H and W.

    Args:
        encoder: The image path.
        mask_widths: Channels of the mask path, which joins the encoder's coarsest levels.
        detail_width: Channels of the decoder at the finer levels, which the mask path does not join.
        fusion: The MLFFM over ``mask_widths``; None for plain skips.
        mask_channels: 1, or 2 where the last estimate comes with the noisy mask (self-conditioning).
        interaction: False for paths that meet on the skips and in the decoder only.
        styles: Names of annotation styles, each with an embedding.
    """

    def __init__(
        self,
        encoder: nn.Module,
        mask_widths: Sequence[int],
        detail_width: int,
        fusion: MLFFM | None = None,
        mask_channels: int = 1,
        interaction: bool = True,
        styles: Sequence[str] = (),
    ) -> None:
        super().__init__()
        image_widths: tuple[int, ...] = encoder.widths  # type: ignore[assignment]
        time_width = 4 * mask_widths[0] if len(mask_widths) < 3 else 256
        finer = len(image_widths) - len(mask_widths)
        self.mask_stride = 2 ** (1 + finer)
        self.total_stride = 2 ** len(image_widths)
        self.styles = tuple(styles)
        self.encoder = encoder
        self.time = TimeEmbedding(time_width)
        self.style = nn.Embedding(1 + len(styles), time_width) if styles else None
        self.stem = nn.Conv2d(mask_channels * self.mask_stride**2, mask_widths[0], 3, padding=1)
        self.levels = nn.ModuleList(
            MaskLevel(image_width, width, time_width, interaction, mask_channels)
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
        self.head = nn.Conv2d(widths[0], 1, 3, padding=1)
        if self.style is not None:
            nn.init.zeros_(self.style.weight)

    def encode(self, image: Tensor, style: Tensor | None = None) -> list[Tensor]:
        """Compute all that denoising needs of an image, independent of the mask and the timestep.

        Args:
            image: B3HW in [-1, 1].
            style: B, 0 for any and 1 + n for ``styles[n]``; None for any.

        Returns:
            For each level, finest first, the projected [W_k k, v], or v where the paths do not interact; last
            the embedding of the style (B x time width), if there are styles.
        """
        levels = zip([*self.details, *self.levels], self.encoder(image), strict=True)
        features = [level.inject.project(i) for level, i in levels]
        if self.style is not None:
            if style is None:
                style = torch.zeros(len(image), dtype=torch.int64, device=image.device)
            features.append(self.style(style))
        return features

    def denoise(self, noisy_mask: Tensor, t: Tensor, features: Sequence[Tensor]) -> Tensor:
        """Map x_t (B mask_channels H W), timesteps t (B) and image features to a logit or noise (B1HW)."""
        finer = len(self.details)
        time = self.time(t, features[-1] if self.style is not None else None)
        h = self.stem(F.pixel_unshuffle(noisy_mask, self.mask_stride))
        skips = []
        for number, level in enumerate(self.levels):
            if number:
                h = self.down[number - 1](h)
            x = noise_preserving_average(noisy_mask, self.mask_stride * 2**number)
            h, skip = level(h, x, time, features[finer + number])
            skips.append(skip)
        h = decode_skips(self.fusion(skips), self.up, self.decode, time)
        for number in reversed(range(finer)):
            h = self.details[number](h, features[number])
        return double(self.head(F.silu(self.head_norm(h))))

    def forward(self, image: Tensor, noisy_mask: Tensor, t: Tensor) -> Tensor:
        """Encode and denoise once: B3HW, B mask_channels H W and B to B1HW."""
        return self.denoise(noisy_mask, t, self.encode(image))
