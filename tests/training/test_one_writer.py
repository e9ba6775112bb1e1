"""One training at a time in a run folder."""

import os
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.schema import Recipe
from mlffm_segdiff.files.claim import LOCK
from mlffm_segdiff.training.fit import resume, train
from mlffm_segdiff.training.run_folder import RunFolder

IN_USE = (
    rf"another command \(process {os.getpid()} on {platform.node()}\) is using .*; "
    "wait for it, stop it, or choose another folder"
)
TRAIN = "import sys; from mlffm_segdiff.training import train; train(*sys.argv[1:])"


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_second_training_is_refused_and_changes_nothing(recipe: Recipe, finished: RunFolder) -> None:
    before = contents(finished.path)
    with finished.claimed():
        with pytest.raises(UserError, match=IN_USE):
            train(recipe, finished.path)
        with pytest.raises(UserError, match=IN_USE):
            resume(finished.path)
    after = contents(finished.path)
    del before[finished.path / LOCK], after[finished.path / LOCK]
    assert after == before


def test_of_two_trainings_that_start_together_one_runs(
    make_recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    recipe = make_recipe(train={"images": 48})
    started = RunFolder(tmp_path / "recipe")
    started.write_config(recipe)
    run = tmp_path / "run"
    command = [sys.executable, "-c", TRAIN, str(started.config), str(run)]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    errors = [process.communicate()[1] for process in both]
    assert sorted(process.returncode for process in both) == [0, 1], errors
    (refused,) = [error for error in errors if "UserError" in error]
    assert "another command (process" in refused or "already holds a run" in refused
    assert (run / "weights" / "model.safetensors").is_file()
    rows = (run / "logs" / "metrics.csv").read_text().splitlines()
    assert len(rows) == 1 + 2  # a header, the scores and the loss


def test_a_training_that_cannot_start_leaves_nothing(
    make_recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    recipe = make_recipe(train={"init": str(tmp_path / "nowhere")})
    with pytest.raises(UserError, match="no such folder"):
        train(recipe, tmp_path / "runs" / "first")
    assert list(tmp_path.iterdir()) == []
