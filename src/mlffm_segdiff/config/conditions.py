"""Options of a recipe that only have an effect together with others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlffm_segdiff.config.schema import Recipe

NEED_SAMPLES = ("steps", "sampler", "fusion")
"""Keys of the sampling section that only have an effect if samples are drawn."""
OF_SAMPLES = (*NEED_SAMPLES, "widening", "logit_spread")
"""The same, and those that a recipe may have for samples that are drawn on request."""
NEEDS: dict[str, tuple[str, ...]] = {
    "diffusion.beta_start": ("diffusion.schedule=linear",),
    "diffusion.beta_end": ("diffusion.schedule=linear",),
    "diffusion.noisy_bias": ("diffusion.noisy_share>0",),
    "diffusion.noisy_share": ("diffusion.training=dual",),
    "diffusion.noisy_weight": ("diffusion.training=dual", "diffusion.noisy_share>0"),
    "diffusion.recycling_shift": ("diffusion.training=recycling",),
    **{f"sampling.{key}": ("sampling.samples>0",) for key in NEED_SAMPLES},
    "sampling.widening": ("diffusion.objective=x0",),
    "loss.name": ("diffusion.objective=x0",),
    "loss.target": ("diffusion.objective=x0",),
    "loss.args": ("diffusion.objective=x0",),
    "loss.cross_entropy": ("diffusion.objective=x0",),
    "loss.dice": ("diffusion.objective=x0",),
    "loss.kervadec": ("diffusion.objective=x0",),
    "loss.batch_dice": ("diffusion.objective=x0", "loss.dice>0"),
    "loss.dice_smooth": ("diffusion.objective=x0", "loss.dice>0"),
    "loss.weight": ("loss.cross_entropy>0",),
    "loss.band_gain": ("loss.weight=band", "loss.cross_entropy>0"),
    "loss.band_width": ("loss.weight=band", "loss.band_gain>0", "loss.cross_entropy>0"),
    "loss.dermosegdiff_gain": ("loss.weight=dermosegdiff", "loss.cross_entropy>0"),
    "loss.dermosegdiff_gamma": (
        "loss.weight=dermosegdiff",
        "loss.dermosegdiff_gain>0",
        "loss.cross_entropy>0",
    ),
    "train.encoder_init": ("train.init=null",),
}
"""Option to what it needs: another option with a value, or above 0."""


def refuse_options_without_effect(recipe: Recipe) -> None:
    """Raise ValueError if an option differs from its default, but the rest of the recipe ignores it."""
    for option, needs in NEEDS.items():
        section, _, key = option.partition(".")
        missing = [need for need in needs if not _is_met(recipe, need)]
        value = _value(recipe, option)
        if missing and value is not None and key in getattr(recipe, section).changed_keys():
            raise ValueError(f"{option}={value} has no effect without {missing[0]}; leave out {option}")


def _is_met(recipe: Recipe, need: str) -> bool:
    if need.endswith(">0"):
        return bool(_value(recipe, need.removesuffix(">0")) > 0)
    option, _, value = need.partition("=")
    found = _value(recipe, option)
    return ("null" if found is None else str(found)) == value


def _value(recipe: Recipe, option: str) -> Any:
    section, _, key = option.partition(".")
    return getattr(getattr(recipe, section), key)
