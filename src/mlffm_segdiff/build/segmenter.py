"""A recipe's sections become a segmenter."""

import torch

from mlffm_segdiff.blocks.mlffm import MLFFM
from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.schema import (
    DiffusionConfig,
    LossConfig,
    MLFFMSegDiffConfig,
    Recipe,
    SamplingConfig,
    UNetConfig,
)
from mlffm_segdiff.diffusion.process import MaskDiffusion
from mlffm_segdiff.losses.boundary_weight import (
    BandWeight,
    BoundaryWeight,
    DermoSegDiffWeight,
    uniform_weight,
)
from mlffm_segdiff.losses.region import RegionLoss
from mlffm_segdiff.models.mlffm_segdiff import MLFFMSegDiff
from mlffm_segdiff.models.unet import unet
from mlffm_segdiff.segmenters.base import Sampling, Segmenter
from mlffm_segdiff.segmenters.diffusion import DiffusionSegmenter
from mlffm_segdiff.segmenters.direct import DirectSegmenter


def build_segmenter(recipe: Recipe) -> Segmenter:
    """Return the recipe's segmenter with fresh weights, drawn from torch's global generator.

    They lie in memory as channels_last, which convolutions run faster on.

    Raises UserError if the size of the images does not suit the model.
    """
    segmenter = _segmenter(recipe)
    size, stride = recipe.data.size, segmenter.total_stride
    if size % stride:
        near = max(round(size / stride), 1) * stride
        raise UserError(f"data.size={size} is not a multiple of {stride}, as this model needs; take {near}")
    return segmenter.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _segmenter(recipe: Recipe) -> Segmenter:
    loss = RegionLoss(recipe.loss.cross_entropy, recipe.loss.dice, recipe.loss.kervadec)
    weight = build_weight(recipe.loss)
    if isinstance(recipe.model, UNetConfig):
        network = unet(recipe.model.widths, recipe.model.residual_units)
        return DirectSegmenter(network, loss, weight, total_stride=2 ** (len(recipe.model.widths) - 1))
    settings = recipe.diffusion
    return DiffusionSegmenter(
        build_denoiser(recipe.model, 2 if settings.self_conditioning else 1),
        build_process(settings),
        loss,
        weight,
        settings.noisy_bias,
        settings.self_conditioning,
        settings.own_samples,
        settings.own_shift,
    )


def build_denoiser(model: MLFFMSegDiffConfig, mask_channels: int) -> MLFFMSegDiff:
    """Return the denoiser of MLFFM-SegDiff, with its MLFFM unless fusion_width is null."""
    fusion = None
    if model.fusion_width is not None:
        fusion = MLFFM(
            model.mask_widths, model.fusion_width, model.attention, model.alignment, model.adaptive
        )
    return MLFFMSegDiff(
        model.image_widths,
        model.image_blocks,
        model.mask_widths,
        model.detail_width,
        model.stride,
        fusion,
        mask_channels,
    )


def build_process(settings: DiffusionConfig) -> MaskDiffusion:
    """Return the forward process over masks."""
    return MaskDiffusion(
        settings.objective,
        settings.schedule,
        settings.train_steps,
        settings.beta_start,
        settings.beta_end,
        settings.mask_scale,
    )


def build_weight(settings: LossConfig) -> BoundaryWeight:
    """Return the boundary weight of that name."""
    weights: dict[str, BoundaryWeight] = {
        "none": uniform_weight,
        "band": BandWeight(settings.band_gain, settings.band_width),
        "dermosegdiff": DermoSegDiffWeight(settings.dermosegdiff_gamma),
    }
    return weights[settings.weight]


def build_sampling(settings: SamplingConfig) -> Sampling:
    """Return how masks are drawn."""
    return Sampling(settings.steps, settings.samples, settings.seed, settings.sampler)
