"""What the package has by name, found without reading it: quick enough for --help."""

from importlib.resources import files

RECIPES = files("mlffm_segdiff.config") / "recipes"


def recipe_names() -> list[str]:
    """Return the names of the recipes in the package."""
    return sorted(
        entry.name.removesuffix(".yaml") for entry in RECIPES.iterdir() if entry.name.endswith(".yaml")
    )
