"""A recipe's sections become a segmenter."""

import torch

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.schema import DiffusionConfig, LossConfig, Recipe, SamplingConfig
from mlffm_segdiff.diffusion.fusion import check_fusion
from mlffm_segdiff.diffusion.process import MaskDiffusion
from mlffm_segdiff.diffusion.times import ImportanceTimes, PowerLawTimes, TimeSampler
from mlffm_segdiff.losses.boundary_weight import (
    BandWeight,
    BoundaryWeight,
    DermoSegDiffWeight,
    uniform_weight,
)
from mlffm_segdiff.losses.region import RegionLoss
from mlffm_segdiff.models.learned_variance import learn_variance
from mlffm_segdiff.models.registry import MODELS
from mlffm_segdiff.segmenters.base import ANY_STYLE, Sampling, Segmenter
from mlffm_segdiff.segmenters.diffusion import DiffusionSegmenter
from mlffm_segdiff.segmenters.direct import DirectSegmenter


def build_segmenter(recipe: Recipe) -> Segmenter:
    """Return the recipe's segmenter with fresh weights, drawn from torch's global generator.

    They lie in memory as channels_last, which convolutions run faster on.

    Raises UserError if the images' size or an option does not suit the model.
    """
    refuse_unsuited(recipe)
    segmenter = _segmenter(recipe)
    size, stride = recipe.data.size, segmenter.total_stride
    if size % stride:
        near = max(round(size / stride), 1) * stride
        raise UserError(f"data.size={size} is not a multiple of {stride}, as this model needs; take {near}")
    return segmenter.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def refuse_unsuited(recipe: Recipe) -> None:
    """Raise UserError for an option that the recipe's model has no use for."""
    name, sampling = recipe.model.name, recipe.sampling
    styles = (ANY_STYLE, *getattr(recipe.model, "styles", ()))
    if sampling.style not in styles:
        raise UserError(
            f"no annotation style {sampling.style!r} in this model; choose one of {', '.join(styles)}"
        )
    if MODELS[name].contract == "denoiser":
        return
    set_options = {
        "diffusion.learned_variance=false": recipe.diffusion.learned_variance,
        "diffusion.importance_sampling=false": recipe.diffusion.importance_sampling,
        "sampling.fusion=mean": sampling.fusion != "mean",
        "sampling.widening=1": sampling.widening != 1,
        "sampling.samples=0": sampling.samples,
    }
    for plain, is_set in set_options.items():
        if is_set:
            raise UserError(f"{name} segments in one pass, without diffusion or samples; take {plain}")


def _segmenter(recipe: Recipe) -> Segmenter:
    loss, weight = build_loss(recipe.loss), build_weight(recipe.loss)
    settings = recipe.diffusion
    entry = MODELS[recipe.model.name]
    network = entry.make(recipe.model, 2 if settings.self_conditioning else 1)
    if entry.contract == "direct":
        return DirectSegmenter(network, loss, weight)
    if settings.learned_variance:
        learn_variance(network, entry.head, recipe.model.name)
    return DiffusionSegmenter(
        network,
        build_process(settings),
        loss,
        weight,
        build_times(settings),
        settings.self_conditioning,
        settings.training,
        settings.noisy_share,
        settings.noisy_weight,
        settings.recycling_shift,
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
        settings.learned_variance,
    )


def build_loss(settings: LossConfig) -> RegionLoss:
    """Return the loss of a network that gives a logit."""
    return RegionLoss(
        settings.cross_entropy, settings.dice, settings.kervadec, settings.batch_dice, settings.dice_smooth
    )


def build_times(settings: DiffusionConfig) -> TimeSampler:
    """Return how the times of training are drawn."""
    if settings.importance_sampling:
        return ImportanceTimes(settings.train_steps)
    return PowerLawTimes(settings.train_steps, settings.noisy_bias)


def build_weight(settings: LossConfig) -> BoundaryWeight:
    """Return the boundary weight of that name."""
    weights: dict[str, BoundaryWeight] = {
        "none": uniform_weight,
        "band": BandWeight(settings.band_gain, settings.band_width),
        "dermosegdiff": DermoSegDiffWeight(settings.dermosegdiff_gain, settings.dermosegdiff_gamma),
    }
    return weights[settings.weight]


def build_sampling(settings: SamplingConfig) -> Sampling:
    """Return how masks are drawn. Raises UserError if the fusion of samples needs what is not installed."""
    check_fusion(settings.fusion)
    return Sampling(**settings.model_dump())
