import json
import platform
import random
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
from trap import Trap

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.schema import Recipe
from mlffm_segdiff.data.sources import SplitCases
from mlffm_segdiff.files.atomic import atomic_write
from mlffm_segdiff.segmenters.recipe import load_recipe
from mlffm_segdiff.training.metrics_log import read_rows
from mlffm_segdiff.training.run_folder import (
    PACKAGES,
    RunFolder,
    describe_environment,
    git_revision,
    read_checkpoint,
)

CASES = SplitCases({"train": [], "val": [], "test": []}, "abc", {})


def test_a_new_run_holds_its_recipe_and_environment(recipe: Recipe, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "runs" / "first")
    folder.create(recipe, CASES)
    assert folder.recipe() == recipe == load_recipe(str(folder.config))
    environment = json.loads((folder.path / "environment.json").read_text())
    assert (environment["seed"], environment["split"]) == (recipe.seed, "abc")
    assert environment["packages"]["torch"] == version("torch")
    files = sorted(file.name for file in folder.path.iterdir())
    assert files == ["config.yaml", "environment.json", "split.csv"]


def test_a_folder_with_a_run_is_refused_and_left_as_it_is(recipe: Recipe, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.create(recipe, CASES)
    before = folder.config.stat().st_mtime_ns
    with pytest.raises(UserError, match="already holds a run; resume it"):
        folder.create(recipe, CASES)
    assert folder.config.stat().st_mtime_ns == before


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no run \(no config\.yaml\)"):
        RunFolder(tmp_path).recipe()


def test_what_a_killed_start_leaves_is_no_run(recipe: Recipe, tmp_path: Path) -> None:
    with atomic_write(tmp_path / "config.yaml") as temporary:
        temporary.touch()
        shutil.copytree(temporary.parent, tmp_path / "killed" / temporary.parent.name)
    folder = RunFolder(tmp_path / "killed")
    folder.require_new()
    with folder.claimed():
        folder.create(recipe, CASES)
    assert folder.recipe() == recipe


def test_a_folder_with_other_things_in_it_is_refused(recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="is not empty; choose another run folder"):
        RunFolder(tmp_path).create(recipe, CASES)
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_checkpoint_runs_no_code(tmp_path: Path) -> None:
    torch.save({"state_dict": Trap(tmp_path / "sprung")}, tmp_path / "last.ckpt")
    with pytest.raises(UserError, match=r"last\.ckpt is missing or damaged"):
        read_checkpoint(tmp_path / "last.ckpt")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("content", [b"", b"half a checkpoint", b"PK\x03\x04 more"])
def test_a_damaged_checkpoint_is_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "last.ckpt").write_bytes(content)
    with pytest.raises(UserError, match=r"last\.ckpt is missing or damaged") as found:
        read_checkpoint(tmp_path / "last.ckpt")
    assert "\n" not in str(found.value)
    with pytest.raises(UserError, match=r"absent\.ckpt is missing or damaged"):
        read_checkpoint(tmp_path / "absent.ckpt")


def test_an_environment_that_cannot_be_read_is_named(recipe: Recipe, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.create(recipe, CASES)
    for damage in (lambda: folder.environment.write_text("{"), folder.environment.unlink):
        damage()
        with pytest.raises(UserError, match=r"environment\.json is missing or damaged"):
            folder.require_split("abc")


def test_another_split_is_refused(recipe: Recipe, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.create(recipe, CASES)
    folder.require_split("abc")
    with pytest.raises(
        UserError, match=r"started with another split \(abc\) than that of the current data \(xyz\)"
    ):
        folder.require_split("xyz")


def test_the_environment_records_what_a_run_depends_on() -> None:
    found = describe_environment(5, "abc")
    assert set(found["packages"]) == set(PACKAGES)
    assert found["python"] == platform.python_version()
    assert Path(sys.argv[0]).name in str(found["command"])
    json.dumps(found)


def test_the_revision_is_gits() -> None:
    source = Path(__file__).parents[2] / "src"
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=source, capture_output=True, text=True, check=False
    )
    expected = head.stdout.strip() or None
    assert (git_revision() or "").removesuffix("-dirty") == (expected or "")


def test_without_git_there_is_no_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert git_revision() is None


def test_a_checkpoint_of_another_version_is_not_resumed(recipe: Recipe, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.create(recipe, CASES)
    assert folder.checkpoint_to_resume() is None
    folder.checkpoints.mkdir()
    torch.save({"callbacks": {"ModelCheckpoint": {}}}, folder.last)
    with pytest.raises(UserError, match=r"written by another version; start a new run, with train\.init="):
        folder.checkpoint_to_resume()


def test_another_recipe_is_named_by_its_first_difference(recipe: Recipe, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.create(recipe, CASES)
    folder.require_recipe(recipe)
    train = recipe.train.model_copy(update={"clip": 2.0, "images": 8})
    with pytest.raises(UserError, match=r"was started with train\.images=400, not 8; leave the recipe out"):
        folder.require_recipe(recipe.model_copy(update={"train": train}))


def test_any_damage_of_a_checkpoint_is_one_line_or_leaves_finite_weights(
    recipe: Recipe, finished: RunFolder, tmp_path: Path
) -> None:
    folder = RunFolder(tmp_path)
    folder.create(recipe, CASES)
    folder.checkpoints.mkdir()
    whole, draw, refused = finished.last.read_bytes(), random.Random(0), 0
    for number in range(60):
        content = bytearray(whole)
        at = draw.randrange(len(content))
        if number % 3:
            content[at] ^= 1 << draw.randrange(8)
        else:
            del content[at:]
        folder.last.write_bytes(content)
        try:
            assert folder.checkpoint_to_resume() == folder.last
        except UserError as error:
            refused += str(folder.last) in str(error)
    assert refused >= 20


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e30])
@pytest.mark.parametrize("part", ["state_dict", "current_model_state"])
def test_a_checkpoint_of_damaged_weights_is_not_resumed(
    value: float, part: str, recipe: Recipe, finished: RunFolder, tmp_path: Path
) -> None:
    folder = RunFolder(tmp_path)
    folder.create(recipe, CASES)
    folder.checkpoints.mkdir()
    checkpoint = torch.load(finished.last, weights_only=True)
    next(iter(checkpoint[part].values())).fill_(value)
    torch.save(checkpoint, folder.last)
    with pytest.raises(UserError, match=r"last\.ckpt: the weights '\S+' (are not finite|reach 1e\+30)"):
        folder.checkpoint_to_resume()


def test_a_damaged_log_is_named(tmp_path: Path) -> None:
    for content in (b"epoch,step\n1,x\n", b"epoch\n1\n", b"step,loss\n1,a\n", b"\xff", b"step\n1,2\n"):
        (tmp_path / "metrics.csv").write_bytes(content)
        with pytest.raises(UserError, match=r"metrics\.csv is damaged .*; restore or delete it"):
            read_rows(tmp_path / "metrics.csv")
