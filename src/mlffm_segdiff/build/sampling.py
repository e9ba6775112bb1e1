"""A recipe's way of drawing masks, with the user's own choices over it."""

from mlffm_segdiff.build.recipe import check_recipe
from mlffm_segdiff.build.segmenter import build_sampling, refuse_unsuited
from mlffm_segdiff.config.schema import Recipe
from mlffm_segdiff.segmenters.base import Sampling


def chosen_sampling(
    recipe: Recipe,
    steps: int | None = None,
    samples: int | None = None,
    sampler: str | None = None,
    seed: int | None = None,
    fusion: str | None = None,
) -> Sampling:
    """Return the recipe's sampling with every value that is not None in its place.

    Raises UserError for a value out of range, an unknown sampler or fusion, more steps than the process has,
    and a fusion whose package is not installed.
    """
    choices = {"steps": steps, "samples": samples, "sampler": sampler, "seed": seed, "fusion": fusion}
    values = recipe.model_dump(mode="json")
    values["sampling"] |= {key: value for key, value in choices.items() if value is not None}
    chosen = check_recipe(values, "the chosen sampling")
    refuse_unsuited(chosen)
    return build_sampling(chosen.sampling)
