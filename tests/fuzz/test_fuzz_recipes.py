"""Damaged recipes and studies."""

import json
from collections.abc import Callable
from pathlib import Path
from random import Random

from fuzz.campaign import Reader
from fuzz.mutators import damage_values
from fuzz.sizes import sizes

from mlffm_segdiff.config.packaged import RECIPES, STUDIES
from mlffm_segdiff.config.study import load_study
from mlffm_segdiff.segmenters.recipe import load_recipe

Campaign = Callable[[Reader, int], None]


class Values(Reader):
    """Files of values."""

    def damage(self, rng: Random, data: bytes, other: bytes) -> bytes:
        """Change values, or damage the text."""
        return damage_values(rng, data, other)


class Recipes(Values):
    """Recipes in YAML."""

    name = "recipes"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.seeds = {path.name: path.read_bytes() for path in RECIPES.iterdir()}

    def read(self, path: Path) -> bool:
        """Return True; an accepted recipe has only finite numbers."""
        json.dumps(load_recipe(str(path)).model_dump(mode="json"), allow_nan=False)
        return True


class Studies(Values):
    """Studies in YAML."""

    name = "studies"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.seeds = {path.name: path.read_bytes() for path in STUDIES.iterdir()}

    def read(self, path: Path) -> bool:
        """Return True; an accepted study has only finite numbers."""
        json.dumps(load_study(str(path)).model_dump(mode="json"), allow_nan=False)
        return True


@sizes(0.09)
def test_damaged_recipes_are_refused(count: int, campaign: Campaign, tmp_path: Path) -> None:
    campaign(Recipes(tmp_path), count)


@sizes(0.06)
def test_damaged_studies_are_refused(count: int, campaign: Campaign, tmp_path: Path) -> None:
    campaign(Studies(tmp_path), count)
