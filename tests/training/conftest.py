from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from mlffm_segdiff.config.schema import Recipe
from mlffm_segdiff.segmenters.recipe import check_recipe
from mlffm_segdiff.training.callbacks import ConsoleProgress
from mlffm_segdiff.training.fit import train
from mlffm_segdiff.training.run_folder import RunFolder


@pytest.fixture(scope="session")
def make_recipe() -> Callable[..., Recipe]:
    """Twenty synthetic cases (14, 2, 4) at 32 x 32; 100 batches of 4, validated after each 12.

    Arguments are sections of the recipe, merged into these.
    """

    def make(**sections: dict[str, Any]) -> Recipe:
        values: dict[str, Any] = {
            "name": "tiny",
            "data": {"sources": {"synthetic": None}, "size": 32, "workers": 0, "synthetic_count": 20},
            "model": {"name": "mlffm_segdiff", "size": "tiny"},
            "train": {"images": 400, "batch_size": 4, "validate_every": 48, "warmup": 40, "ema_decay": 0.9},
        }
        values["train"]["precision"] = "float32"
        for name, section in sections.items():
            values[name] = section if name == "model" else {**values.get(name, {}), **section}
        return check_recipe(values, "here")

    return make


@pytest.fixture(scope="session")
def recipe(make_recipe: Callable[..., Recipe]) -> Recipe:
    return make_recipe()


@pytest.fixture(scope="session")
def finished(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run that was never interrupted, and console.txt next to it."""
    folder = RunFolder(tmp_path_factory.mktemp("finished") / "run")
    with (folder.path.parent / "console.txt").open("w") as file:
        train(recipe, folder.path, callbacks=[ConsoleProgress(Console(file=file, width=120))])
    return folder
