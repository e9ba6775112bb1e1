"""Recipes, checked with the section of the model that they name."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import create_model

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.load import check_values, override_values, read_recipe, recipe_of
from mlffm_segdiff.config.model_config import ModelConfig
from mlffm_segdiff.config.paths import expanded, require_mapping
from mlffm_segdiff.config.schema import Recipe
from mlffm_segdiff.data.table import require_source, source_name
from mlffm_segdiff.losses.mask_loss import LOSSES
from mlffm_segdiff.models.encoder_weights import IMAGENET
from mlffm_segdiff.models.registry import MODELS, model_section
from mlffm_segdiff.segmenters.saved_weights import DEFAULT


def load_recipe(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """Load a recipe.

    Args:
        name: A packaged recipe's name, or a YAML file.
        overrides: ``key=value`` each.

    Raises:
        UserError: The recipe is unknown or not YAML, a key is unknown or mistyped (the error names file, key
            and the nearest valid key), or ``model.name`` replaces a model whose keys the recipe sets.
    """
    values = _with_known_names(read_recipe(name, overrides))
    _validate_model_override(name, overrides, values.get("model"))
    recipe = check_recipe(values, f"recipe {name!r}")
    for source in recipe.data.sources:
        require_source(source)
    return recipe


def _validate_model_override(name: str, overrides: Sequence[str], section: Any) -> None:
    given = {override.partition("=")[0].strip() for override in overrides}
    model = section.get("name") if isinstance(section, dict) else None
    if "model.name" not in given or not isinstance(model, str) or model not in MODELS:
        return
    known = MODELS[model].model_fields
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
        recipe: The recipe whose data to replace.
        sources: Folders of data sets by name; None keeps the path of the recipe. The recipe's split list,
            and its mix if the names differ from its own, are left out, because they are of its sources.
        split: CSV with columns id and part.

    Raises:
        UserError: A source is not a data set.
    """
    values = recipe.model_dump(mode="json")
    data = values["data"]
    if sources:
        require_mapping("sources", sources, "{'isic2018': 'data/isic2018'}")
        sources = {source_name(name): path for name, path in sources.items()}
        known = data["sources"]
        mix = data["mix"] if set(sources) == set(known) else None
        data.update(sources={n: p or known.get(n) for n, p in sources.items()}, split=None, mix=mix)
    if split is not None:
        data["split"] = split
    data["sources"] = {name: path and _absolute(path) for name, path in data["sources"].items()}
    data["split"] = data["split"] and _absolute(data["split"])
    return check_recipe(values, "sources and split")


def with_absolute_paths(recipe: Recipe) -> Recipe:
    """Return the recipe with absolute paths of its data and of the weights that its training starts from."""
    recipe = with_data(recipe)
    names = {"init": recipe.train.init, "encoder_init": recipe.train.encoder_init}
    paths = {
        key: _absolute(name)
        for key, name in names.items()
        if name not in (None, DEFAULT, IMAGENET) and expanded(name).exists()
    }
    return recipe.model_copy(update={"train": recipe.train.model_copy(update=paths)})


def _absolute(path: str | Path) -> str:
    """Return an absolute path, valid from any directory: runs are resumed and evaluated later."""
    return str(expanded(path).absolute())


def check_recipe(values: Any, origin: str) -> Recipe:
    """Check ``values`` as a recipe.

    Args:
        values: The recipe's sections; ``model`` has a ``name`` or a ``target``.
        origin: The source of the values, for errors.

    Raises:
        UserError: A key is unknown, missing or has a wrong value.
    """
    values = _with_known_names(values)
    section = values.get("model") if isinstance(values, Mapping) else None
    if not isinstance(section, Mapping):
        return check_values(values, origin, Recipe)
    try:
        kind = model_section(section)
    except UserError as error:
        raise UserError(f"{origin}: {error}") from None
    return check_values(values, origin, _recipe_type(kind))


def override_recipe(recipe: Recipe, overrides: Sequence[str]) -> Recipe:
    """Return a recipe with ``key=value`` changes.

    Args:
        recipe: Recipe to start from; not changed.
        overrides: Changes such as ``train.steps=1000``.

    Raises:
        UserError: As `load_recipe`.
    """
    return check_recipe(override_values(recipe.model_dump(mode="json"), overrides, "recipe"), "recipe")


def _with_known_names(values: Any) -> Any:
    """Return a recipe's values with the names of its model, loss and data sets as they are registered."""
    if not isinstance(values, Mapping):
        return values
    found = dict(values)
    for key, registry in (("model", MODELS), ("loss", LOSSES)):
        section = found.get(key)
        if isinstance(section, Mapping) and isinstance(section.get("name"), str):
            found[key] = {**section, "name": registry.spelling(section["name"])}
    data = found.get("data")
    if isinstance(data, Mapping):
        named = {key: data[key] for key in ("sources", "mix") if isinstance(data.get(key), Mapping)}
        renamed = {
            key: {source_name(str(name)): one for name, one in by.items()} for key, by in named.items()
        }
        found["data"] = {**data, **renamed}
    return found


@cache
def _recipe_type(section: type[ModelConfig]) -> type[Recipe]:
    return create_model("Recipe", __base__=_PickledByValue, model=(section, ...))


class _PickledByValue(Recipe):
    """A recipe that pickle stores as its values, since its class, with the model's section, has no name."""

    def __reduce__(self) -> tuple[Any, ...]:
        return check_recipe, (self.model_dump(mode="json"), "the pickled recipe")


def recipe_packages(recipe: Recipe) -> list[str]:
    """Return the installed packages, other than this one, whose entry points the network needs."""
    found = {MODELS.package_of(recipe.model.name), LOSSES.package_of(recipe.loss.name)}
    return sorted(package for package in found if package is not None)
