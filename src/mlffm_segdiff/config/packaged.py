"""Names of packaged recipes and studies, found without reading them, which is fast enough for --help."""

from importlib.resources import files
from importlib.resources.abc import Traversable

RECIPES = files("mlffm_segdiff.config") / "recipes"
STUDIES = files("mlffm_segdiff.config") / "studies"


def recipe_names() -> list[str]:
    """Return the names of packaged recipes."""
    return _yaml_names(RECIPES)


def study_names() -> list[str]:
    """Return the names of packaged studies."""
    return _yaml_names(STUDIES)


def _yaml_names(folder: Traversable) -> list[str]:
    return sorted(
        entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml")
    )
