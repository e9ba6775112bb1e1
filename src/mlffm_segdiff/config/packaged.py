"""Names of packaged recipes and studies, found without reading them, which is fast enough for --help."""

from importlib.resources import files
from importlib.resources.abc import Traversable

RECIPES = files("mlffm_segdiff.config") / "recipes"
STUDIES = files("mlffm_segdiff.config") / "studies"


def recipe_names() -> list[str]:
    """Return the names of packaged recipes."""
    return yaml_names(RECIPES)


def study_names() -> list[str]:
    """Return the names of packaged studies."""
    return yaml_names(STUDIES)


def yaml_names(folder: Traversable) -> list[str]:
    """Return the names of the YAML files in a folder of the package, without the suffix."""
    return sorted(
        entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml")
    )
