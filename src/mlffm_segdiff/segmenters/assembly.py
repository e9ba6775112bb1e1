"""Build a segmenter from a recipe."""

from functools import partial
from inspect import signature

import torch
from torch import nn

from mlffm_segdiff.config.conditions import OF_SAMPLES
from mlffm_segdiff.config.diffusion_config import DiffusionConfig
from mlffm_segdiff.config.errors import UserError, one_line
from mlffm_segdiff.config.loss_config import LossConfig
from mlffm_segdiff.config.model_config import ModelConfig
from mlffm_segdiff.config.registry import call_target, import_target
from mlffm_segdiff.config.schema import ANY_STYLE, Recipe, SamplingConfig
from mlffm_segdiff.diffusion.dpm_solver import check_sampler
from mlffm_segdiff.diffusion.process import MaskDiffusion
from mlffm_segdiff.losses.boundary_weight import (
    BandWeight,
    BoundaryWeight,
    DermoSegDiffWeight,
    uniform_weight,
)
from mlffm_segdiff.losses.mask_loss import LOSSES, MaskLoss
from mlffm_segdiff.models.encoders import pretrained_encoder
from mlffm_segdiff.models.registry import TargetModelConfig
from mlffm_segdiff.segmenters.base import BaseSegmenter
from mlffm_segdiff.segmenters.diffusion import DiffusionSegmenter
from mlffm_segdiff.segmenters.direct import DirectSegmenter
from mlffm_segdiff.segmenters.objectives import X0, Epsilon, Objective, V
from mlffm_segdiff.segmenters.training_draws import Dual, Recycling, Single, TrainingDraws


def build_segmenter(recipe: Recipe) -> BaseSegmenter:
    """Build the recipe's segmenter with fresh weights, drawn from torch's global generator.

    Weights are float32, whatever torch's default, in the memory format channels_last, on which convolutions
    are faster.

    Raises:
        UserError: The images' size or an option does not fit the model, its network lacks a method, or a
            ``target`` cannot be built.
    """
    validate_options(recipe)
    segmenter = _segmenter(recipe)
    size, stride = recipe.data.size, segmenter.total_stride
    least = int(getattr(segmenter.get_submodule("network"), "least_side", stride))
    if size % stride or size < least:
        near = max(round(size / stride) * stride, least)
        needed = f"a multiple of {stride}" + (f" and at least {least}" if least > stride else "")
        raise UserError(f"data.size={size} is not {needed}, as this model needs; use {near}")
    settings = recipe.train
    starts = settings.init or settings.encoder_init
    if "encoder_rate" in settings.changed_keys() and not (starts and pretrained_encoder(segmenter)):
        raise UserError(
            f"train.encoder_rate={settings.encoder_rate:g} has no effect without a pretrained encoder; "
            "leave it out"
        )
    if isinstance(recipe.model, TargetModelConfig):
        require_logit(segmenter.get_submodule("network"), size)
    for value in (*segmenter.parameters(), *segmenter.buffers()):
        if value.ndim == 4:
            value.data = value.data.contiguous(memory_format=torch.channels_last)
    return segmenter.float()


def require_contract(network: nn.Module, model: ModelConfig) -> None:
    """Raise UserError unless a network has the methods of its section's contract (ARCHITECTURE.md)."""
    for method in ("encode", "denoise") if model.contract == "denoiser" else ("forward",):
        if getattr(type(network), method, None) is getattr(nn.Module, method, None):
            raise UserError(
                f"the network of {model.name} has no {method}(), as contract = {model.contract!r} needs; "
                "write it, or change the contract of its section"
            )


@torch.no_grad()
def require_logit(network: nn.Module, size: int) -> None:
    """Raise UserError unless a network maps an image of this size to a logit of one channel."""
    training = network.training
    try:
        found = network.eval()(torch.zeros(1, 3, size, size))
    except Exception as error:  # of code that is not ours
        raise UserError(
            f"model.target cannot segment an image of 1x3x{size}x{size} ({one_line(error)}); correct it, "
            "model.args or data.size"
        ) from error
    finally:
        network.train(training)
    shape = tuple(getattr(found, "shape", ()))
    if shape != (1, 1, size, size):
        raise UserError(f"model.target must give a logit of 1x1x{size}x{size}, not {shape or type(found)}")


def validate_options(recipe: Recipe) -> None:
    """Raise UserError for an option that has no effect on the recipe's model."""
    name, sampling = recipe.model.name, recipe.sampling
    styles = (ANY_STYLE, *getattr(recipe.model, "styles", ()))
    if sampling.style not in styles:
        raise UserError(
            f"no annotation style {sampling.style!r} in this model; choose one of {', '.join(styles)}"
        )
    if recipe.model.contract == "denoiser":
        return
    unused = [f"diffusion.{key}" for key in recipe.diffusion.changed_keys()]
    unused += [
        f"sampling.{key}" for key in sampling.changed_keys() if key in ("samples", "seed", *OF_SAMPLES)
    ]
    if unused:
        raise UserError(
            f"{name} segments in one pass, without diffusion or samples; leave out {', '.join(unused)}"
        )


def _segmenter(recipe: Recipe) -> BaseSegmenter:
    loss, weight = build_loss(recipe.loss), build_weight(recipe.loss)
    settings = recipe.diffusion
    network = recipe.model.build(mask_channels=2 if settings.self_conditioning else 1)
    require_contract(network, recipe.model)
    if recipe.model.contract == "direct":
        return DirectSegmenter(network, loss=loss, weight=weight)
    return DiffusionSegmenter(
        network,
        process=build_process(settings),
        objective=build_objective(settings, loss),
        weight=weight,
        draws=build_draws(settings),
        noisy_bias=settings.noisy_bias,
        self_conditioning=settings.self_conditioning,
    )


def build_process(settings: DiffusionConfig) -> MaskDiffusion:
    """Build the forward process over masks."""
    return MaskDiffusion(
        schedule=settings.schedule,
        train_steps=settings.train_steps,
        beta_start=settings.beta_start,
        beta_end=settings.beta_end,
        mask_scale=settings.mask_scale,
    )


def build_loss(settings: LossConfig) -> MaskLoss:
    """Build the loss of a network that predicts a logit, by its name or target.

    Raises:
        UserError: The loss does not exist, or does not take ``loss.args`` or the arguments of a `MaskLoss`.
    """
    name = settings.target or settings.name
    part = LOSSES.require(name) if settings.target is None else import_target(name, "loss.target")
    if isinstance(part, type):
        loss: MaskLoss = call_target(part, settings.arguments, "loss.args")
    else:
        if not callable(part):
            raise UserError(f"loss.target={name} is a {type(part).__name__}; name a function or a class")
        loss = partial(part, **settings.arguments)
    try:
        signature(loss).bind(*["logit", "mask", "distance", "weight"])
    except TypeError as error:
        raise UserError(f"loss {name} with args {settings.args}: {error}") from None
    return loss


def build_objective(settings: DiffusionConfig, loss: MaskLoss) -> Objective:
    """Build what the network predicts; ``loss`` is that of objective x0."""
    objectives: dict[str, Objective] = {
        "x0": X0(loss, mask_scale=settings.mask_scale),
        "epsilon": Epsilon(),
        "v": V(mask_scale=settings.mask_scale),
    }
    return objectives[settings.objective]


def build_draws(settings: DiffusionConfig) -> TrainingDraws:
    """Build the training step."""
    draws: dict[str, TrainingDraws] = {
        "dual": Dual(settings.noisy_share, settings.noisy_weight),
        "single": Single(),
        "recycling": Recycling(settings.recycling_shift),
    }
    return draws[settings.training]


def build_weight(settings: LossConfig) -> BoundaryWeight:
    """Build the boundary weight of that name."""
    weights: dict[str, BoundaryWeight] = {
        "none": uniform_weight,
        "band": BandWeight(gain=settings.band_gain, width=settings.band_width),
        "dermosegdiff": DermoSegDiffWeight(
            gain=settings.dermosegdiff_gain, gamma=settings.dermosegdiff_gamma
        ),
    }
    return weights[settings.weight]


def checked_sampling(settings: SamplingConfig) -> SamplingConfig:
    """Return the settings. Raises UserError if the sampler needs a package that is not installed."""
    check_sampler(settings.sampler)
    return settings
