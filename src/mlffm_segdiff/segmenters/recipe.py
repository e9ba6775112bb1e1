"""Recipes checked with the arguments of the model that they name."""

from collections.abc import Mapping, Sequence
from pathlib import Path
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


def with_data(
    recipe: Recipe, sources: Mapping[str, str | Path | None] | None = None, split: Path | None = None
) -> Recipe:
    """Return the recipe with other data; paths become absolute.

    Args:
        recipe: Whose data to replace.
        sources: Folders of data sets by name; None keeps the path of the recipe. Without the recipe's split
            list and mix, which belong to its own sources.
        split: CSV with columns id and part.

    Raises:
        UserError: A source is not a data set.
    """
    values = recipe.model_dump(mode="json")
    data = values["data"]
    if sources:
        known = data["sources"]
        data.update(sources={n: p or known.get(n) for n, p in sources.items()}, split=None, mix=None)
    if split is not None:
        data["split"] = split
    data["sources"] = {name: path and _absolute(path) for name, path in data["sources"].items()}
    data["split"] = data["split"] and _absolute(data["split"])
    return check_recipe(values, "--source")


def _absolute(path: str | Path) -> str:
    """Return a path that holds from another directory too: runs are resumed and evaluated later."""
    return str(Path(path).expanduser().absolute())


def check_recipe(values: Any, origin: str) -> Recipe:
    """Return ``values`` as a recipe; ``origin`` is how an error names their source. Raises UserError."""
    return check_values(values, origin, _RECIPE)
