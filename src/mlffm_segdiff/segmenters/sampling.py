"""The sampling of a recipe with the user's overrides, one mapping of `SamplingConfig` keys to values."""

from collections.abc import Mapping

from mlffm_segdiff.config.conditions import NEED_SAMPLES, OF_SAMPLES
from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.model_config import ModelConfig
from mlffm_segdiff.config.sampling_arguments import KNOWN_KEYS, SAMPLING_KEYS
from mlffm_segdiff.config.schema import ANY_STYLE, Recipe, SamplingConfig
from mlffm_segdiff.config.spelling import known_name
from mlffm_segdiff.segmenters.assembly import checked_sampling, validate_options
from mlffm_segdiff.segmenters.recipe import check_recipe

Overrides = Mapping[str, object]


def override_sampling(recipe: Recipe, overrides: Overrides | None = None) -> Recipe:
    """Return the recipe with some of its sampling settings replaced.

    Args:
        recipe: Recipe of a model, with its own sampling.
        overrides: Values by the keys of `SamplingConfig`; text is converted to the type of its key.

    Raises:
        UserError: A key is unknown, a value is out of range, the model does not support the sampling, or the
            overrides are not a mapping.
    """
    if not isinstance(overrides, Mapping | None):
        raise UserError(f'sampling {overrides!r} is not a mapping; write it as {{"samples": 2}}')
    given = dict(overrides or {})
    for key in given:
        if key not in SAMPLING_KEYS:
            raise UserError(f"unknown sampling key {key!r}; {KNOWN_KEYS}")
    if isinstance(given.get("style"), str):
        given["style"] = known_name(str(given["style"]), (ANY_STYLE, *getattr(recipe.model, "styles", ())))
    values = recipe.model_dump(mode="json")
    if given.get("samples", recipe.sampling.samples) in (0, "0"):
        unused = [key for key in OF_SAMPLES if key in given]
        if unused:
            raise UserError(_without_samples(recipe.model, " and ".join(unused)))
        for key in NEED_SAMPLES:
            del values["sampling"][key]
    values["sampling"] |= given
    chosen = check_recipe(values, "the chosen sampling")
    validate_options(chosen)
    return chosen


def chosen_sampling(recipe: Recipe, overrides: Overrides | None = None) -> SamplingConfig:
    """Return the recipe's sampling with the overrides applied.

    Args:
        recipe: Recipe of a model, with its own sampling.
        overrides: Values by the keys of `SamplingConfig`.

    Raises:
        UserError: As `override_sampling`; the package of the sampler is not installed; or an override
            concerns samples and none are drawn.
    """
    chosen = override_sampling(recipe, overrides)
    return checked_sampling(chosen.sampling)


def network_sampling(recipe: Recipe, sampling: SamplingConfig) -> SamplingConfig:
    """Return ``sampling`` if images of the network's size can be segmented with it.

    Raises:
        UserError: The recipe's model does not support it, or it takes a second look, for which images are
            needed at full size.
    """
    if sampling.second_look:
        raise UserError("sampling.second_look needs images of full size; use segment(), or leave it out")
    values = recipe.model_dump(mode="json") | {"sampling": sampling.model_dump(mode="json")}
    chosen = check_recipe(values, "the sampling")
    validate_options(chosen)
    return checked_sampling(chosen.sampling)


def _without_samples(model: ModelConfig, unused: str) -> str:
    if model.contract == "direct":
        return f"{model.name} segments in one pass, without samples; leave out {unused}"
    return (
        f"no samples are drawn, so {unused} would have no effect; "
        f"set samples to 1 or more, or leave out {unused}"
    )
