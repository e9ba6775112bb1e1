"""Read and check recipes, with overrides."""

import difflib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, ValidationError
from yaml import YAMLError

from mlffm_segdiff.config.errors import UserError, reason_of
from mlffm_segdiff.config.packaged import RECIPES, recipe_names, yaml_names
from mlffm_segdiff.config.schema import Recipe
from mlffm_segdiff.config.spelling import known_name, meant_key, nearest_key

FIRST_RECIPE = "isic2018"
Location = tuple[int | str, ...]
"""Where pydantic found an error: keys of nested mappings, and indices."""
UNKNOWN_KEY = ("extra_forbidden", "invalid_key")
PYDANTIC_WORDS = (
    (r"valid dictionary.*", "mapping of keys and values"),
    (r"valid tuple", "list in brackets, such as [first, second]"),
    (r"^\w+ should have (at \w+ \d+ items?) after validation, not \d+", r"Input should have \1"),
)
"""Patterns of pydantic's messages, and what replaces them."""
LITERAL = re.compile(r"(?![\[{'\"])((.*\s)?#.*|.*:(\s.*)?|0\d+|\d+(:\d+)+)", re.DOTALL)
"""Values that YAML would not read as their text, such as /data/Study #2 or 0123."""


def recipe_of(model: str) -> str | None:
    """Return the packaged recipe to start from for a model, or None.

    It is the recipe of the model's name, otherwise isic2018 if it has this model, otherwise any recipe of it.
    """
    found = [name for name in recipe_names() if _read(name).model.name == model]
    return min(found, key=lambda name: (name != model, name != FIRST_RECIPE), default=None)


def read_recipe(name: str, overrides: Sequence[str] = ()) -> Any:
    """Read a packaged recipe or a YAML file and apply overrides, without checking keys and values.

    Args:
        name: Name of a packaged recipe, or path of a .yaml file.
        overrides: ``key=value`` overrides.

    Returns:
        The values as nested dicts.

    Raises:
        UserError: If the recipe does not exist, its YAML is broken, or an override cannot be applied.
    """
    return override_values(_read(name), overrides, f"recipe {name!r}")


def override_values(values: Any, overrides: Sequence[str], origin: str) -> Any:
    """Apply ``key=value`` overrides to a mapping, without checking keys and values.

    Args:
        values: The mapping.
        overrides: Overrides such as train.images=20000.
        origin: Name of the mapping in errors.

    Raises:
        UserError: If an override is not key=value, or a key cannot be set.
    """
    try:
        merged = OmegaConf.merge(values, _parse(overrides))
        refuse_resolvers(OmegaConf.to_container(merged, resolve=False), origin)
        return OmegaConf.to_container(merged, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise UserError(f"{origin}: {reason_of(error)}") from None


def refuse_resolvers(values: Any, origin: str) -> None:
    """Raise UserError for an interpolation that is not another key, such as ``${oc.env:HOME}``.

    Its value, possibly a secret of the environment, would be copied into the configuration of a run.
    """
    if isinstance(values, dict | list):
        for value in values.values() if isinstance(values, dict) else values:
            refuse_resolvers(value, origin)
    elif isinstance(values, str) and re.search(r"\$\{.*:", values, re.DOTALL):
        raise UserError(
            f"{origin}: {values!r} is not the name of another key, as ${{data.size}} is; write the value"
        )


def find_yaml(name: str, noun: str, packaged: Traversable, hint: Callable[[str], str] = lambda _: "") -> Path:
    """Return the path of a YAML file.

    Args:
        name: Its path, or the name of one of the package.
        noun: What the file is, for the error.
        packaged: Folder of the package.
        hint: Returns what to say of an unknown name, or an empty text.

    Raises:
        UserError: If the package has no file of this name.
    """
    path = Path(name)
    if path.suffix in {".yaml", ".yml"}:
        return path
    names = yaml_names(packaged)
    name = known_name(name, names)
    if name not in names:
        close = difflib.get_close_matches(name, names, n=1)
        likely = hint(name) or (f"did you mean {close[0]!r}? " if close else "")
        raise UserError(f"no {noun} {name!r}: {likely}choose one of {', '.join(names)}, or a .yaml file")
    return Path(str(packaged / f"{name}.yaml"))


def read_mapping(path: Path, noun: str, example: str) -> DictConfig:
    """Read a mapping from a YAML file.

    Args:
        path: The file.
        noun: What the file is, for errors.
        example: Example of its content, for errors.

    Raises:
        UserError: If the file is missing, broken, or not a mapping.
    """
    try:
        loaded = OmegaConf.load(path)
    except FileNotFoundError:
        raise UserError(f"no {noun} file {path}; check the path") from None
    except (YAMLError, OmegaConfBaseException, OSError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{path}: not readable as YAML: {reason_of(error)}; correct it") from None
    except AssertionError:  # OmegaConf's, for a file that is a single value
        loaded = None
    if not isinstance(loaded, DictConfig):
        raise UserError(f"{path}: a {noun} must be a mapping of sections, for example {example!r}")
    return loaded


def read_json(path: Path, fix: str) -> Any:
    """Read a JSON file. Raises UserError, which ends with ``fix``, if it cannot be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read ({reason_of(error)}); {fix}") from None


def check_values(values: Any, origin: str, kind: type[Recipe]) -> Recipe:
    """Validate values as a recipe.

    Args:
        values: Nested dicts.
        origin: Name of their source in errors.
        kind: Recipe class whose ``model`` is one section, or a union of sections discriminated by ``name``.

    Raises:
        UserError: If a key is unknown, naming it and the nearest valid one, or a value is invalid.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:

        def hint(location: Location) -> str:
            key = dotted(location)
            meant = meant_key(key)
            return f"did you mean {meant}?" if meant else nearest_key(key, _keys(kind))

        raise UserError(f"{origin}: {describe_error(error, hint)}") from None


def describe_error(error: ValidationError, hint: Callable[[Location], str]) -> str:
    """Describe the first error of a recipe or a study in one line.

    A misspelt key, which can also be missing under its right name, comes before other errors.

    Args:
        error: The errors.
        hint: Returns the fix for an unknown key.
    """
    first = min(error.errors(), key=lambda one: one["type"] not in UNKNOWN_KEY)
    kind, location = first["type"], first["loc"]
    key = dotted(location)
    if kind in UNKNOWN_KEY:
        return f"unknown key {key!r}; {hint(location)}"
    if kind == "missing":
        return f"missing key {key!r}; add it"
    message = first["msg"].removeprefix("Value error, ")
    for pattern, words in PYDANTIC_WORDS:
        message = re.sub(pattern, words, message)
    if not key:
        return message
    message = f"{message[0].lower()}{message[1:]}"
    given = "" if kind == "value_error" or isinstance(first["input"], dict) else f" (got {first['input']!r})"
    return f"key {key!r}: {message}{given}"


def dotted(location: Location) -> str:
    """Return the key of a place in nested values, such as train.images."""
    return ".".join(str(part) for part in location if part != "[key]")


def _read(name: str) -> DictConfig:
    path = find_yaml(name, "recipe", RECIPES, _model_hint)
    return read_mapping(path, "recipe", "train: {images: 60000}")


def _model_hint(name: str) -> str:
    recipe = recipe_of(name)
    return "" if recipe is None else f"it is the model of recipe {recipe!r}; "


def _parse(overrides: Sequence[str]) -> DictConfig:
    quoted = []
    for override in overrides:
        key, equals, value = override.partition("=")
        if not (equals and key.strip()):
            raise UserError(f"override {override!r} is not key=value, for example train.images=20000")
        literal = LITERAL.fullmatch(value.strip())
        quoted.append(f"{key}={json.dumps(value.strip(), ensure_ascii=False)}" if literal else override)
    try:
        return OmegaConf.from_dotlist(quoted)
    except (YAMLError, OmegaConfBaseException) as error:
        raise UserError(f"overrides {' '.join(overrides)!r}: {reason_of(error)}") from None


def _keys(section: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Yield the dotted keys of a section and of the sections in it."""
    for name, field in section.model_fields.items():
        yield prefix + name
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _keys(field.annotation, f"{prefix}{name}.")
