"""Parameters and floating-point operations of a model, counted without running it."""

from collections.abc import Callable
from functools import partial

import torch
from torch.utils.flop_counter import FlopCounterMode

from mlffm_segdiff.config.packaged import recipe_names
from mlffm_segdiff.config.schema import Recipe
from mlffm_segdiff.models.registry import MODELS
from mlffm_segdiff.segmenters.assembly import build_segmenter
from mlffm_segdiff.segmenters.base import MIRRORS, BaseSegmenter
from mlffm_segdiff.segmenters.model_list import ListedModel, ModelCost
from mlffm_segdiff.segmenters.packing import packed_flops
from mlffm_segdiff.segmenters.recipe import check_recipe, load_recipe

SIDE = 128
META = torch.device("meta")


def model_recipe(name: str) -> Recipe:
    """Return the packaged recipe with the model's name; otherwise the model's defaults, on ISIC 2018."""
    if name in recipe_names():
        return load_recipe(name)
    values = {"name": name, "data": {"sources": {"isic2018": None}}, "model": {"name": name}}
    return check_recipe(values, f"model {name!r}")


def count_model(name: str) -> ListedModel:
    """Count the cost of the model called ``name``, with its packaged recipe or its defaults."""
    return ListedModel(count_cost(model_recipe(name)), MODELS.require(name).citation)


@torch.no_grad()
def count_cost(recipe: Recipe) -> ModelCost:
    """Count the cost of a recipe's model, without the time and memory of running it."""
    segmenter = build_on_meta(recipe).eval()
    sampling, mirrors = recipe.sampling, len(MIRRORS) if recipe.sampling.mirror else 1
    drawn = recipe.model.contract == "denoiser" and sampling.samples
    steps, samples = (sampling.steps, sampling.samples) if drawn else (1, 1)
    flops = {
        name: count_flops(partial(part.module, *part.inputs))
        for name, part in segmenter.parts(torch.zeros(1, 3, SIDE, SIDE, device=META)).items()
    }
    total = sum(count * (1 if name == "encoder" else steps * samples) for name, count in flops.items())
    weights = sum(p.numel() for p in segmenter.parameters())
    return ModelCost(weights, mirrors * total, steps, mirrors * samples)


def build_on_meta(recipe: Recipe) -> BaseSegmenter:
    """Build a recipe's segmenter with shapes but no weights, on the device ``meta``."""
    try:
        with META:
            return build_segmenter(recipe).to(META)  # tables on the CPU too
    except RuntimeError:  # a constructor that reads values, as MONAI's Swin transformer does
        return build_segmenter(recipe).to(META)


def count_flops(work: Callable[[], object]) -> int:
    """Count the floating-point operations of the convolutions and matrix products in one call."""
    with FlopCounterMode(display=False, custom_mapping=packed_flops()) as counter:
        work()
    total: int = counter.get_total_flops()
    return total
