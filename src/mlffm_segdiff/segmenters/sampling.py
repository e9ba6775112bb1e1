"""A recipe's sampling with the user's own choices."""

from typing import TypedDict

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.model_config import ModelConfig
from mlffm_segdiff.config.schema import Recipe
from mlffm_segdiff.segmenters.assembly import build_sampling, validate_options
from mlffm_segdiff.segmenters.base import Sampling
from mlffm_segdiff.segmenters.recipe import check_recipe


class SamplingChoices(TypedDict, total=False):
    """The user's choices, see `chosen_sampling`; None keeps the recipe's."""

    steps: int | None
    samples: int | None
    sampler: str | None
    seed: int | None
    fusion: str | None
    style: str | None
    mirror: bool | None
    second_look: bool | None


def chosen_sampling(
    recipe: Recipe,
    steps: int | None = None,
    samples: int | None = None,
    sampler: str | None = None,
    seed: int | None = None,
    fusion: str | None = None,
    style: str | None = None,
    mirror: bool | None = None,
    second_look: bool | None = None,
) -> Sampling:
    """Return the recipe's sampling, changed by the arguments that are not None; see `Sampling`.

    Raises:
        UserError: A value is out of range; the sampler, fusion or style is unknown; the process has fewer
            steps; the fusion's package is not installed; steps or a sampler are given and no samples are
            drawn; or a second look is asked for and samples are.
    """
    choices: SamplingChoices = {
        "steps": steps,
        "samples": samples,
        "sampler": sampler,
        "seed": seed,
        "fusion": fusion,
        "style": style,
        "mirror": mirror,
        "second_look": second_look,
    }
    given = {key: value for key, value in choices.items() if value is not None}
    values = recipe.model_dump(mode="json")
    if not given.get("samples", recipe.sampling.samples):
        unused = [name for name in ("steps", "sampler") if name in given]
        if unused:
            raise UserError(_without_samples(recipe.model, " and ".join(unused)))
        del values["sampling"]["steps"], values["sampling"]["sampler"]  # of samples, which are not drawn
    values["sampling"] |= given
    chosen = check_recipe(values, "the chosen sampling")
    validate_options(chosen)
    return build_sampling(chosen.sampling)


def _without_samples(model: ModelConfig, unused: str) -> str:
    if model.contract == "direct":
        return f"{model.name} segments in one pass, without samples; leave out {unused}"
    return (
        f"no samples are drawn, so {unused} would have no effect; "
        f"set samples to 1 or more, or leave out {unused}"
    )
