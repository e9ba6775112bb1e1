"""A recipe's sections become a segmenter."""

import torch

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.schema import DiffusionConfig, LossConfig, Recipe, SamplingConfig
from mlffm_segdiff.diffusion.dpm_solver import check_sampler
from mlffm_segdiff.diffusion.fusion import check_fusion
from mlffm_segdiff.diffusion.process import MaskDiffusion
from mlffm_segdiff.losses.boundary_weight import (
    BandWeight,
    BoundaryWeight,
    DermoSegDiffWeight,
    uniform_weight,
)
from mlffm_segdiff.losses.region import RegionLoss
from mlffm_segdiff.models.registry import MODELS
from mlffm_segdiff.segmenters.base import ANY_STYLE, Sampling, Segmenter
from mlffm_segdiff.segmenters.diffusion import DiffusionSegmenter
from mlffm_segdiff.segmenters.direct import DirectSegmenter
from mlffm_segdiff.segmenters.objectives import X0, Epsilon, Objective, V
from mlffm_segdiff.segmenters.training_draws import Dual, Recycling, Single, TrainingDraws

SAMPLES_ONLY = ("samples", "sampler", "steps", "fusion", "widening")
"""Keys of the sampling section that have no effect on a direct network."""


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
    unused = [f"diffusion.{key}" for key in recipe.diffusion.changed_keys()]
    unused += [f"sampling.{key}" for key in sampling.changed_keys() if key in SAMPLES_ONLY]
    if unused:
        raise UserError(
            f"{name} segments in one pass, without diffusion or samples; leave out {', '.join(unused)}"
        )


def _segmenter(recipe: Recipe) -> Segmenter:
    loss, weight = build_loss(recipe.loss), build_weight(recipe.loss)
    settings = recipe.diffusion
    entry = MODELS[recipe.model.name]
    network = entry.make(recipe.model, 2 if settings.self_conditioning else 1)
    if entry.contract == "direct":
        return DirectSegmenter(network, loss, weight)
    return DiffusionSegmenter(
        network,
        build_process(settings),
        build_objective(settings, loss),
        weight,
        build_draws(settings),
        noisy_bias=settings.noisy_bias,
        self_conditioning=settings.self_conditioning,
    )


def build_process(settings: DiffusionConfig) -> MaskDiffusion:
    """Return the forward process over masks."""
    return MaskDiffusion(
        schedule=settings.schedule,
        train_steps=settings.train_steps,
        beta_start=settings.beta_start,
        beta_end=settings.beta_end,
        mask_scale=settings.mask_scale,
    )


def build_loss(settings: LossConfig) -> RegionLoss:
    """Return the loss of a network that gives a logit."""
    return RegionLoss(
        settings.cross_entropy, settings.dice, settings.kervadec, settings.batch_dice, settings.dice_smooth
    )


def build_objective(settings: DiffusionConfig, loss: RegionLoss) -> Objective:
    """Return what the network predicts; ``loss`` is that of objective x0."""
    objectives: dict[str, Objective] = {
        "x0": X0(loss, settings.mask_scale),
        "epsilon": Epsilon(),
        "v": V(settings.mask_scale),
    }
    return objectives[settings.objective]


def build_draws(settings: DiffusionConfig) -> TrainingDraws:
    """Return the training step."""
    draws: dict[str, TrainingDraws] = {
        "dual": Dual(settings.noisy_share, settings.noisy_weight),
        "single": Single(),
        "recycling": Recycling(settings.recycling_shift),
    }
    return draws[settings.training]


def build_weight(settings: LossConfig) -> BoundaryWeight:
    """Return the boundary weight of that name."""
    weights: dict[str, BoundaryWeight] = {
        "none": uniform_weight,
        "band": BandWeight(settings.band_gain, settings.band_width),
        "dermosegdiff": DermoSegDiffWeight(settings.dermosegdiff_gain, settings.dermosegdiff_gamma),
    }
    return weights[settings.weight]


def build_sampling(settings: SamplingConfig) -> Sampling:
    """Return how masks are made. Raises UserError if the sampler or fusion needs a package not installed."""
    check_sampler(settings.sampler)
    check_fusion(settings.fusion)
    return Sampling(**settings.model_dump())
