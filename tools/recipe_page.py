"""Write docs/RECIPE.md, the keys of a recipe: recipe_page.py"""

import inspect
import json
import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from mlffm_segdiff.config.schema import Recipe
from mlffm_segdiff.evaluation.report import markdown_table
from mlffm_segdiff.models.mlffm_segdiff import SIZES
from mlffm_segdiff.models.registry import MODELS

PAGE = Path(__file__).parent.parent / "docs" / "RECIPE.md"
MODEL = "mlffm_segdiff"
INTRODUCTION = """# Keys of a recipe

A recipe is a YAML file with these sections; `KEY=VALUE` on the command line overrides a key
([recipes](TRAINING.md#recipes)). A key that is left out has its default; without a default, it is required.
A key that would have no effect is an error, except `data.synthetic_count`, `train.encoder_init=null`, and
`sampling.logit_spread` and `sampling.widening`, which are for samples drawn later. `name` is the recipe's
name, and `seed` (default 0) seeds initial weights, training draws and augmentation.

The section `model` is that of MLFFM-SegDiff. Other models (`mlffm-segdiff models`) have `name` and the keys
of their own section in `mlffm_segdiff.models`. `python tools/recipe_page.py` makes this page.
"""
BY_SIZE = {key for widths in SIZES.values() for key in widths}
"""Keys of the model that its size sets."""
BOUNDS = {
    "minimum": "from {}",
    "exclusiveMinimum": "above {}",
    "maximum": "to {}",
    "exclusiveMaximum": "below {}",
}


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


def page() -> str:
    """Return the page."""
    sections = {name: field.annotation for name, field in Recipe.model_fields.items()}
    parts = [INTRODUCTION]
    for name, section in (sections | {"model": MODELS[MODEL]}).items():
        if isinstance(section, type) and issubclass(section, BaseModel):
            parts += [
                f"## {name}",
                markdown_table(["key", "default", "values", "meaning"], rows(name, section)),
            ]
    return "\n".join(parts)


def rows(name: str, section: type[BaseModel]) -> list[list[str]]:
    """Return one row per key: name, default, values and meaning."""
    schema = section.model_json_schema()
    meanings = attributes(section)
    return [
        [
            f"`{name}.{key}`",
            "by `size`" if name == "model" and key in BY_SIZE else default(values),
            allowed(values, schema),
            meanings.get(key, "").replace("|", "\\|"),
        ]
        for key, values in schema["properties"].items()
    ]


def attributes(section: type[BaseModel]) -> dict[str, str]:
    """Return the attributes that the docstrings of a section and its parents describe, by name."""
    found: dict[str, str] = {}
    for parent in reversed(section.__mro__):
        _, _, described = inspect.cleandoc(parent.__dict__.get("__doc__") or "").partition("Attributes:\n")
        for key, meaning in re.findall(r"^    (\w+): (.*(?:\n {5,}.*)*)", described, re.MULTILINE):
            text = " ".join(meaning.split()).replace("``", "`")
            found[key] = re.sub(r"docs/(\w+)\.md", r"[\1](\1.md)", text)
    return found


def default(values: dict[str, Any]) -> str:
    """Return the default of a key as YAML; empty if the key is required."""
    return f"`{json.dumps(values['default'])}`" if "default" in values else ""


def allowed(values: dict[str, Any], schema: dict[str, Any]) -> str:
    """Return the type, the range or the list of values that a key may have, from its JSON schema."""
    if "$ref" in values:
        return allowed(schema["$defs"][values["$ref"].rpartition("/")[2]], schema)
    if "anyOf" in values:
        return " or ".join(allowed(one, schema) for one in values["anyOf"])
    if "enum" in values:
        return ", ".join(f"`{one}`" for one in values["enum"])
    if "const" in values:
        return f"`{values['const']}`"
    kind = values.get("type", "any")
    if kind == "array":
        items = values.get("items") or (values.get("prefixItems") or [{}])[0]
        return f"list: {allowed(items, schema)}"
    if kind == "object":
        return "mapping"
    words = {"null": "`null`", "boolean": "`true`, `false`", "string": "text", "integer": "whole number"}
    bounds = [text.format(f"{values[key]:,}") for key, text in BOUNDS.items() if key in values]
    return " ".join([words.get(kind, kind), *bounds])


if __name__ == "__main__":
    main()
