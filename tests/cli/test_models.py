import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mlffm_segdiff.models.registry import MODELS
from mlffm_segdiff.segmenters.cost import count_cost, model_recipe
from mlffm_segdiff.segmenters.model_list import packaged_models

Command = Callable[..., tuple[int, str, str]]

OWN_NETWORK = """\
from typing import ClassVar

from torch import nn

from mlffm_segdiff.config.model_config import ModelConfig


class Pointwise(ModelConfig):
    citation: ClassVar[str] = "our own"

    def build(self, mask_channels: int) -> nn.Module:
        network = nn.Conv2d(3, 1, 1)
        network.total_stride = 1
        return network
"""


def test_every_model_has_a_row_with_its_source(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    status, printed, error = command("models")
    assert (status, error) == (0, "")
    for name, entry in MODELS.items():
        (row,) = [line for line in printed.splitlines() if line.split()[1:2] == [name]]
        cost = packaged_models()[name].cost
        assert f" {cost.parameters:,} " in row
        assert f" {cost.flops / 1e9:,.1f} " in row
        assert entry.citation in row
    assert " 250 x 5 " in printed, "steps times samples, of DermoSegDiff"


@pytest.mark.parametrize("name", ["mlffm_segdiff", "unet", "swin_unetr"])
def test_json_has_the_figures_as_numbers(name: str, command: Command) -> None:
    status, printed, error = command("models", "--json")
    assert (status, error) == (0, "")
    (row,) = [row for row in json.loads(printed)["models"] if row["name"] == name]
    found = count_cost(model_recipe(name))
    assert row == {
        "name": name,
        "parameters": found.parameters,
        "flops": found.flops,
        "steps": found.steps,
        "samples": found.samples,
        "source": MODELS[name].citation,
    }


def test_a_model_of_another_package_is_counted(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_network.py").write_text(OWN_NETWORK)
    info = tmp_path / "own_network-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: own_network\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[mlffm_segdiff.models]\npointwise = own_network:Pointwise\n")
    monkeypatch.syspath_prepend(tmp_path)
    _, printed, _ = command("models", "--json")
    rows = json.loads(printed)["models"]
    assert [row["name"] for row in rows] == sorted([*packaged_models(), "pointwise"])
    (row,) = [row for row in rows if row["name"] == "pointwise"]
    assert (row["parameters"], row["flops"], row["source"]) == (3 + 1, 2 * 3 * 128 * 128, "our own")
