"""Recipes checked with the arguments of the model that they name."""

from collections.abc import Sequence
from typing import Annotated, Any, Union

from pydantic import Field, create_model

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.load import check_values, read_recipe, recipe_of
from mlffm_segdiff.config.schema import Recipe
from mlffm_segdiff.models.registry import MODELS

_SECTIONS: Any = Union[tuple(entry.section for entry in MODELS.values())]  # noqa: UP007
_ANY_MODEL: Any = Annotated[_SECTIONS, Field(discriminator="name")]
_RECIPE: type[Recipe] = create_model("Recipe", __base__=Recipe, model=(_ANY_MODEL, ...))


def load_recipe(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """Return the recipe of a packaged name or a YAML file, with ``key=value`` overrides applied.

    Raises UserError for an unknown recipe, broken YAML, and an unknown or mistyped key, naming file, key and
    the nearest valid one; and for a ``model.name`` in place of another whose keys the recipe sets.
    """
    values = read_recipe(name, overrides)
    _refuse_keys_of_another_model(name, overrides, values.get("model"))
    return check_recipe(values, f"recipe {name!r}")


def _refuse_keys_of_another_model(name: str, overrides: Sequence[str], section: Any) -> None:
    given = {override.partition("=")[0].strip() for override in overrides}
    model = section.get("name") if isinstance(section, dict) else None
    if "model.name" not in given or not isinstance(model, str) or model not in MODELS:
        return
    known = MODELS[model].section.model_fields
    left = [key for key in section if key not in known and f"model.{key}" not in given]
    other = recipe_of(model)
    if left and other:
        raise UserError(
            f"recipe {name!r} sets 'model.{left[0]}', which model {model!r} does not have; "
            f"start from the recipe {other!r}"
        )


def check_recipe(values: Any, origin: str) -> Recipe:
    """Return ``values`` as a recipe; ``origin`` is how an error names their source. Raises UserError."""
    return check_values(values, origin, _RECIPE)
