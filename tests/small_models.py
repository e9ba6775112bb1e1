"""Every model of the table, made quick; a new model is added by its arguments in SMALL.

A name is a model's, or that of a recipe which gives a model another encoder.
"""

import torch

from mlffm_segdiff.config.schema import Recipe
from mlffm_segdiff.models.encoder_weights import IMAGENET, initialise_encoder
from mlffm_segdiff.models.registry import MODELS
from mlffm_segdiff.segmenters.assembly import build_segmenter
from mlffm_segdiff.segmenters.base import BaseSegmenter
from mlffm_segdiff.segmenters.cost import model_recipe
from mlffm_segdiff.segmenters.recipe import check_recipe

SIDE = 64
LITE0 = {"encoder": "efficientnet_lite0"}
SMALL: dict[str, dict[str, object]] = {
    "mlffm_segdiff": {"size": "tiny"},
    "dermosegdiff": {"dim_x": 8, "dim_g": 8, "x_mults": (1, 1, 2), "g_mults": (1, 1, 2), "groups": 4},
    "segdiff": {
        "widths": (64, 64, 64),
        "attention": (False, True, False),
        "blocks": 1,
        "rrdb_blocks": 1,
        "rrdb_width": 8,
    },
    "medsegdiff": {
        "widths": (64, 64, 64),
        "attention": (False, True, False),
        "blocks": 1,
        "heads": 2,
        "spectrum_size": 32,
    },
    "diffusion_unet": {
        "widths": (32, 32, 32),
        "attention": (False, False, True),
        "blocks": 1,
        "heads": 2,
    },
    "single_path": {"widths": (8, 16), "blocks": (1, 1), "fusion_width": 8},
    "mlffm_unet": {"widths": (4, 8, 8, 8), "residual_units": 1, "fusion_width": 8},
    "unet": {"widths": (4, 8, 8, 8), "residual_units": 1},
    "attention_unet": {"widths": (4, 8, 8, 8)},
    "unetpp": {"widths": (4, 4, 8, 8, 8)},
    "nnunet": {"image_size": 32},
    "swin_unetr": {"feature_size": 12},
    "unetr": {"image_size": 64, "feature_size": 4, "hidden_size": 24, "mlp_size": 24, "heads": 2},
    "transunet": {
        "stem_width": 32,
        "blocks": (1, 1, 1),
        "token_width": 32,
        "layers": 1,
        "heads": 2,
        "decoder_widths": (16, 8, 8, 8),
    },
    "fcn": {"widths": (4, 8, 8, 16, 16), "convolutions": (1, 1, 1, 1, 1), "head_width": 32},
    "fpn": {"widths": (8, 8, 16, 16), "blocks": (1, 1, 1, 1), "pyramid_width": 16, "head_width": 32},
    "mlffm_unet_lite0": {**LITE0, "decoder_widths": (8, 8, 8, 8), "fusion_width": 8},
    "unet_lite0": {**LITE0, "decoder_widths": (8, 8, 8, 8)},
    "unetpp_lite0": {**LITE0, "decoder_widths": (8, 8, 8, 8)},
    "fpn_lite0": {**LITE0, "pyramid_width": 16, "head_width": 32},
}


def is_denoiser(name: str) -> bool:
    """Return whether a model, or the model of a recipe, is a denoiser."""
    return MODELS[model_recipe(name).model.name].contract == "denoiser"


def small_recipe(name: str) -> Recipe:
    """Return the recipe that is called as the model, of a small one; a denoiser samples in two steps."""
    values = model_recipe(name).model_dump(mode="json")
    drawn = {"steps": 2, "samples": 1} if is_denoiser(name) else {}
    return check_recipe(
        {
            **values,
            "model": {**SMALL[name], "name": values["model"]["name"]},
            "data": {"sources": {"synthetic": None}, "size": SIDE},
            "sampling": {**values["sampling"], **drawn},
        },
        name,
    )


def made(name: str) -> BaseSegmenter:
    """Return a segmenter in which nothing is switched off by weights that start at 0.

    A pretrained encoder has its ImageNet weights: with random ones and no statistics, the signal fades in it.
    """
    torch.manual_seed(0)
    segmenter = build_segmenter(small_recipe(name))
    for p in segmenter.parameters():
        if not p.any():
            p.data.normal_(std=0.05)
    initialise_encoder(segmenter, IMAGENET)
    return segmenter.eval()
