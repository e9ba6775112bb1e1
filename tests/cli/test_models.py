import json
from collections.abc import Callable

import pytest

from mlffm_segdiff.config.schema import Recipe
from mlffm_segdiff.models.registry import MODELS
from mlffm_segdiff.segmenters import cost as figures
from mlffm_segdiff.segmenters.cost import ModelCost

Command = Callable[..., tuple[int, str, str]]


def test_every_model_has_a_row_with_its_source(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def counted(recipe: Recipe) -> ModelCost:
        return ModelCost(len(recipe.model.name) * 10**6, 2_550_000_000, recipe.sampling.steps, 1)

    monkeypatch.setattr(figures, "count_cost", counted)
    monkeypatch.setenv("COLUMNS", "200")
    status, printed, _ = command("models")
    assert status == 0
    for name, entry in MODELS.items():
        (row,) = [line for line in printed.splitlines() if line.split()[1:2] == [name]]
        assert f"{len(name)},000,000" in row
        assert " 2.5 " in row or " 2.6 " in row
        assert entry.citation in row


def test_the_figures_are_those_of_the_recipe(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    few = {name: MODELS[name] for name in ("unet", "mlffm_segdiff")}
    monkeypatch.setattr("mlffm_segdiff.models.registry.MODELS", few)
    _, printed, error = command("models")
    assert not error
    for name in few:
        (row,) = [line.split() for line in printed.splitlines() if line.split()[1:2] == [name]]
        found = figures.count_cost(figures.model_recipe(name))
        assert row[3] == f"{found.parameters:,}"
        assert row[5] == f"{found.flops / 1e9:,.1f}"
        assert row[7] == str(found.steps)


def test_json_has_the_figures_as_numbers(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlffm_segdiff.models.registry.MODELS", {"unet": MODELS["unet"]})
    status, printed, error = command("models", "--json")
    assert (status, error) == (0, "")
    (row,) = json.loads(printed)["models"]
    found = figures.count_cost(figures.model_recipe("unet"))
    assert row == {
        "name": "unet",
        "parameters": found.parameters,
        "flops": found.flops,
        "steps": 1,
        "samples": 1,
        "source": MODELS["unet"].citation,
    }
