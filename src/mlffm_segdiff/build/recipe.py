"""Recipes checked with the arguments of the model that they name."""

from collections.abc import Sequence
from typing import Annotated, Any, Union

from pydantic import Field, create_model

from mlffm_segdiff.build.models import MODELS
from mlffm_segdiff.config.load import check_values, read_recipe
from mlffm_segdiff.config.schema import Recipe

_SECTIONS: Any = Union[tuple(entry.section for entry in MODELS.values())]  # noqa: UP007
_ANY_MODEL: Any = Annotated[_SECTIONS, Field(discriminator="name")]
_RECIPE: type[Recipe] = create_model("Recipe", __base__=Recipe, model=(_ANY_MODEL, ...))


def load_recipe(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """Return the recipe of a packaged name or a YAML file, with ``key=value`` overrides applied.

    Raises UserError for an unknown recipe, broken YAML, and an unknown or mistyped key, naming file, key and
    the nearest valid one.
    """
    return check_recipe(read_recipe(name, overrides), f"recipe {name!r}")


def check_recipe(values: Any, origin: str) -> Recipe:
    """Return ``values`` as a recipe; ``origin`` is how an error names their source. Raises UserError."""
    return check_values(values, origin, _RECIPE)
