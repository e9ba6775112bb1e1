"""Options of a recipe that only have an effect under a condition on its other options."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from mlffm_segdiff.config.schema import Recipe


class Condition(NamedTuple):
    """Options that only have an effect under a condition.

    Attributes:
        section: Section of the options.
        keys: The options.
        needs: The condition in words, for an error.
        met: Whether the recipe meets it.
    """

    section: str
    keys: tuple[str, ...]
    needs: str
    met: bool


def conditions(recipe: Recipe) -> tuple[Condition, ...]:
    """Return the conditions of a recipe's options, and whether it meets them."""
    diffusion, loss, train = recipe.diffusion, recipe.loss, recipe.train
    x0 = diffusion.objective == "x0"
    return (
        Condition(
            "diffusion",
            ("beta_start", "beta_end"),
            "diffusion.schedule=linear",
            diffusion.schedule == "linear",
        ),
        Condition(
            "diffusion",
            ("noisy_share", "noisy_weight"),
            "diffusion.training=dual",
            diffusion.training == "dual",
        ),
        Condition(
            "diffusion",
            ("recycling_shift",),
            "diffusion.training=recycling",
            diffusion.training == "recycling",
        ),
        Condition(
            "sampling", ("sampler", "steps"), "sampling.samples=1 or more", recipe.sampling.samples > 0
        ),
        Condition("sampling", ("widening",), "diffusion.objective=x0", x0),
        Condition(
            "loss",
            ("cross_entropy", "dice", "kervadec", "batch_dice", "dice_smooth"),
            "diffusion.objective=x0",
            x0,
        ),
        Condition("loss", ("batch_dice", "dice_smooth"), "loss.dice above 0", loss.dice > 0),
        Condition("loss", ("band_gain", "band_width"), "loss.weight=band", loss.weight == "band"),
        Condition(
            "loss",
            ("dermosegdiff_gain", "dermosegdiff_gamma"),
            "loss.weight=dermosegdiff",
            loss.weight == "dermosegdiff",
        ),
        Condition("train", ("encoder_init",), "train.init=null", train.init is None),
        Condition(
            "train",
            ("encoder_rate",),
            "train.init or train.encoder_init",
            (train.init or train.encoder_init) is not None,
        ),
    )


def refuse_options_without_effect(recipe: Recipe) -> None:
    """Raise ValueError if an option differs from its default, but the rest of the recipe ignores it."""
    for section, keys, needs, met in conditions(recipe):
        values = getattr(recipe, section)
        changed = [key for key in values.changed_keys() if key in keys]
        if changed and not met:
            option, value = f"{section}.{changed[0]}", getattr(values, changed[0])
            raise ValueError(f"{option}={value} has no effect without {needs}; leave out {option}")
