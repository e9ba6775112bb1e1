import json
from dataclasses import replace
from pathlib import Path

import pytest

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.study.cells import Cell
from mlffm_segdiff.study.plan import read_plan, write_plan
from mlffm_segdiff.study.repeat import plan_repeat, same_weights
from mlffm_segdiff.study.run_cell import run_cell
from mlffm_segdiff.study.study_folder import StudyFolder


@pytest.fixture
def chosen(whole: StudyFolder) -> Cell:
    return read_plan(whole.plan).cells[-1]


def test_a_cell_repeats_bit_for_bit(whole: StudyFolder, chosen: Cell, tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path / "again")
    plan = plan_repeat(whole, chosen.key[:9], folder, {})
    assert plan.cells == [chosen]
    run_cell(folder.path, chosen.key)
    for name in ("run/weights/model.safetensors", "scores/recipe/cases.csv", "scores/recipe/summary.json"):
        mine, theirs = (one.cell(chosen.key).path / name for one in (folder, whole))
        assert mine.read_bytes() == theirs.read_bytes()
    assert [path.name for path in (folder.path / "cells").iterdir()] == [chosen.key]
    assert same_weights(whole, folder, plan) is True
    (folder.cell(chosen.key).path / "run/weights/model.safetensors").write_bytes(b"")
    assert same_weights(whole, folder, plan) is False
    assert same_weights(StudyFolder(tmp_path / "nowhere"), folder, plan) is None
    (folder.cell(chosen.key).path / "run/weights/model.safetensors").unlink()
    with pytest.raises(UserError, match=r"has finished this cell, but .* was removed; choose another folder"):
        same_weights(whole, folder, plan)


def test_what_would_not_be_the_same_cell_is_refused(whole: StudyFolder, chosen: Cell, tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path / "again")
    with pytest.raises(UserError, match=f"source ph2: the data set of cell {chosen.key} is synthetic"):
        plan_repeat(whole, chosen.key, folder, {"ph2": tmp_path})
    with pytest.raises(UserError, match="is the study itself; choose another folder"):
        plan_repeat(whole, chosen.key, whole, {})
    assert not folder.path.exists()
    plan_repeat(whole, chosen.key, folder, {})
    with pytest.raises(UserError, match="has other cells"):
        plan_repeat(whole, read_plan(whole.plan).cells[0].key, folder, {})


def test_a_repeated_cell_may_read_its_data_elsewhere(
    whole: StudyFolder, chosen: Cell, tmp_path: Path
) -> None:
    data = chosen.recipe.data.model_copy(update={"sources": {"ph2": Path("/old")}})
    moved = replace(chosen, dataset="mine", recipe=chosen.recipe.model_copy(update={"data": data}))
    original, folder = StudyFolder(tmp_path / "original"), StudyFolder(tmp_path / "again")
    original.path.mkdir()
    write_plan(replace(read_plan(whole.plan), cells=[moved]), original.plan)
    for name in ("ph2", "mine"):
        plan = plan_repeat(original, chosen.key, folder, {name: Path("/new")})
        assert plan.cells[0].recipe.data.sources == {"ph2": Path("/new")}
    (cell,) = json.loads(folder.plan.read_text())["cells"]
    assert cell["recipe"]["data"]["sources"] == {"ph2": "/new"}
