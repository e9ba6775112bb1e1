"""Read a recipe, apply overrides, and say clearly what is wrong with it."""

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, ValidationError
from yaml import YAMLError

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.packaged import RECIPES, recipe_names
from mlffm_segdiff.config.schema import Recipe

FIRST_RECIPE = "isic2018"


def recipe_of(model: str) -> str | None:
    """Return the packaged recipe to start from for a model: that called as it, else isic2018, else any.

    None if no packaged recipe is of that model.
    """
    found = [name for name in recipe_names() if _read(name).model.name == model]
    return min(found, key=lambda name: (name != model, name != FIRST_RECIPE), default=None)


def read_recipe(name: str, overrides: Sequence[str] = ()) -> Any:
    """Return the values of a packaged recipe or a YAML file, with ``key=value`` overrides applied, unchecked.

    Raises UserError for an unknown recipe and broken YAML.
    """
    return override_values(_read(name), overrides, f"recipe {name!r}")


def override_values(values: Any, overrides: Sequence[str], origin: str) -> Any:
    """Return a mapping with ``key=value`` overrides applied, unchecked; ``origin`` is how an error names it.

    Raises UserError for what is no key=value, and a key that cannot be set.
    """
    try:
        merged = OmegaConf.merge(values, _parse(overrides))
        return OmegaConf.to_container(merged, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise UserError(f"{origin}: {' '.join(str(error).split())}") from None


def read_mapping(path: Path, noun: str, example: str) -> DictConfig:
    """Return the mapping in a YAML file; ``noun`` and ``example`` are how an error says what was expected.

    Raises UserError for a missing or broken file, and for what is no mapping.
    """
    try:
        loaded = OmegaConf.load(path)
    except FileNotFoundError:
        raise UserError(f"no {noun} file {path}: check the path") from None
    except (YAMLError, OmegaConfBaseException, OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not readable as YAML: {' '.join(str(error).split())}") from None
    if not isinstance(loaded, DictConfig):
        raise UserError(f"{path}: a {noun} is a mapping of sections, for example {example!r}")
    return loaded


def check_values(values: Any, origin: str, kind: type[Recipe]) -> Recipe:
    """Check ``values`` as a recipe.

    Args:
        values: The recipe's sections.
        origin: The source of the values, for errors.
        kind: A Recipe with the section of one model.

    Raises:
        UserError: A key is unknown or mistyped; the error names it and the nearest valid one.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"{origin}: {_describe(first, kind)}") from None


def _read(name: str) -> DictConfig:
    path = Path(name)
    if path.suffix not in {".yaml", ".yml"}:
        if name not in recipe_names():
            raise UserError(
                f"no recipe {name!r}: {_hint(name)}choose one of {', '.join(recipe_names())}, or a .yaml file"
            )
        path = Path(str(RECIPES / f"{name}.yaml"))
    return read_mapping(path, "recipe", "train: {images: 60000}")


def _hint(name: str) -> str:
    if (recipe := recipe_of(name)) is not None:
        return f"it is the model of recipe {recipe!r}; "
    close = difflib.get_close_matches(name, recipe_names(), n=1)
    return f"did you mean {close[0]!r}? " if close else ""


def _parse(overrides: Sequence[str]) -> DictConfig:
    for override in overrides:
        key, equals, _ = override.partition("=")
        if not (equals and key.strip()):
            raise UserError(f"override {override!r} is not key=value, for example train.images=20000")
    try:
        return OmegaConf.from_dotlist(list(overrides))
    except (YAMLError, OmegaConfBaseException) as error:
        raise UserError(f"overrides {' '.join(overrides)!r}: {' '.join(str(error).split())}") from None


def _describe(error: Any, kind: type[Recipe]) -> str:
    key = ".".join(str(part) for part in error["loc"] if part != "[key]")
    if error["type"] == "extra_forbidden" or (error["loc"] and error["loc"][-1] == "[key]"):
        close = difflib.get_close_matches(key, list(_keys(kind)), n=1, cutoff=0.0)
        return f"unknown key {key!r}; the nearest valid key is {close[0]!r}"
    if error["type"] == "missing":
        return f"missing key {key!r}"
    message: str = error["msg"].removeprefix("Value error, ")
    if not key:
        return message
    given = "" if isinstance(error["input"], dict) else f" (got {error['input']!r})"
    return f"key {key!r}: {message[0].lower()}{message[1:]}{given}"


def _keys(section: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Yield the dotted keys of a section and of the sections in it."""
    for name, field in section.model_fields.items():
        yield prefix + name
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _keys(field.annotation, f"{prefix}{name}.")
