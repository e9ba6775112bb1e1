"""A run killed in mid-training and resumed ends as one that was never interrupted, bit for bit."""

import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from kill_at import KILL_AT
from rich.console import Console

from mlffm_segdiff.config.schema import Recipe
from mlffm_segdiff.training.callbacks import ConsoleProgress
from mlffm_segdiff.training.fit import resume, train
from mlffm_segdiff.training.run_folder import RunFolder

SCRIPT = f"""{KILL_AT}
import sys
from pathlib import Path

import torch
from mlffm_segdiff.training import RunFolder, resume, train

torch.set_num_threads(1)
config, run, *moment = sys.argv[1:]
kill_at(*moment)
resume(run) if RunFolder(Path(run)).config.is_file() else train(config, run)
"""
SYNC = ("mlffm_segdiff.files.atomic", "_sync")
"""Called for each file when it is written and does not have its name yet."""
DRAW = random.Random(0)
MOMENTS = [
    ("mlffm_segdiff.training.run_folder", "RunFolder.write_config", 1),
    (*SYNC, DRAW.randrange(6, 14)),
    (*SYNC, DRAW.randrange(6, 14)),
]


@pytest.fixture(scope="module")
def resumed(finished: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, int]:
    """The run of ``finished`` in other processes, killed at MOMENTS, then resumed in this one.

    And the step that its newest checkpoint was at.
    """
    folder = RunFolder(tmp_path_factory.mktemp("killed") / "run")
    for moment in MOMENTS:
        command = [sys.executable, "-c", SCRIPT, str(finished.config), str(folder.path), *map(str, moment)]
        killed = subprocess.run(command, check=False, stderr=subprocess.PIPE, text=True)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert unfinished(folder)
    step = int(torch.load(folder.last, weights_only=True)["global_step"])
    assert not folder.weights.exists()
    resume(folder.path)
    return folder, step


def unfinished(folder: RunFolder) -> list[Path]:
    return [path for path in folder.path.rglob("*") if path.name.startswith((".part-", ".building-"))]


def differing(one: object, other: object, where: str = "") -> list[str]:
    """Where two checkpoints differ, down to every bit of every tensor."""
    if isinstance(one, torch.Tensor):
        same = isinstance(other, torch.Tensor) and one.dtype == other.dtype and torch.equal(one, other)
        return [] if same else [where]
    if isinstance(one, dict) and isinstance(other, dict):
        keys = {*one, *other}
        return [found for key in keys for found in differing(one.get(key), other.get(key), f"{where}/{key}")]
    if isinstance(one, list | tuple) and isinstance(other, list | tuple) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return [found for n, (a, b) in pairs for found in differing(a, b, f"{where}/{n}")]
    return [] if one == other else [where]


def test_the_run_was_killed_in_the_middle(resumed: tuple[RunFolder, int]) -> None:
    _, step = resumed
    assert 12 <= step < 100


@pytest.mark.parametrize("name", ["last", "best"])
def test_checkpoints_are_the_same_in_every_bit(
    name: str, resumed: tuple[RunFolder, int], finished: RunFolder
) -> None:
    """Current and averaged weights, the optimiser's moments, the learning rate, the epoch and the scores."""
    one, other = (
        torch.load(folder.checkpoints / f"{name}.ckpt", weights_only=True)
        for folder in (finished, resumed[0])
    )
    assert {
        "state_dict",
        "current_model_state",
        "optimizer_states",
        "lr_schedulers",
        "averaging_state",
    } <= set(one)
    for key in ("state_dict", "current_model_state", "optimizer_states", "lr_schedulers", "averaging_state"):
        assert differing(one[key], other[key], key) == []
    assert (one["epoch"], one["global_step"]) == (other["epoch"], other["global_step"])


def test_the_weights_to_use_are_the_same_file(resumed: tuple[RunFolder, int], finished: RunFolder) -> None:
    one, other = ((folder.weights / "model.safetensors").read_bytes() for folder in (finished, resumed[0]))
    assert one == other


def test_the_log_is_whole(resumed: tuple[RunFolder, int], finished: RunFolder, recipe: Recipe) -> None:
    assert resumed[0].metrics.read_text() == finished.metrics.read_text()
    assert resumed[0].recipe() == recipe
    assert (resumed[0].path / "curves.png").read_bytes() == (finished.path / "curves.png").read_bytes()


def test_nothing_half_written_stays(resumed: tuple[RunFolder, int], finished: RunFolder) -> None:
    assert unfinished(resumed[0]) == []
    names = [{path.name for path in folder.path.iterdir()} for folder in (resumed[0], finished)]
    assert names[0] == names[1]
    assert {path.name for path in resumed[0].checkpoints.iterdir()} == {"best.ckpt", "last.ckpt"}


def test_the_comparison_would_notice_one_bit(finished: RunFolder) -> None:
    one = torch.load(finished.last, weights_only=True)
    other = torch.load(finished.last, weights_only=True)
    assert differing(one, other) == []
    other["current_model_state"]["segmenter.network.head.bias"] += 1e-7
    assert differing(one, other) == ["/current_model_state/segmenter.network.head.bias"]


class InterruptedRunError(Exception):
    pass


class Interrupting(Console):
    """A console that interrupts a run when it prints its third validation."""

    def print(self, *objects: Any, **options: Any) -> None:
        self.validations = getattr(self, "validations", 0) + ("validation Jaccard" in str(objects))
        if self.validations == 3:
            raise InterruptedRunError
        super().print(*objects, **options)


def test_a_run_by_sgd_resumes_as_exactly(make_recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    """As nnU-Net trains: momentum, poly, no averaging, and validation on mirror images."""
    train_keys = {"images": 96, "validate_every": 24, "optimizer": "sgd", "learning_rate": 0.01}
    recipe = make_recipe(
        model={"name": "unet", "widths": [4, 8], "residual_units": 1},
        loss={"weight": "none", "batch_dice": True},
        sampling={"mirror": True},
        train={**train_keys, "warmup": 0, "clip": 12, "ema_decay": 0},
    )
    whole, broken = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "broken")
    train(recipe, whole.path)
    with (tmp_path / "broken.txt").open("w") as file, pytest.raises(InterruptedRunError):
        train(recipe, broken.path, callbacks=[ConsoleProgress(Interrupting(file=file, width=120))])
    assert torch.load(broken.last, weights_only=True)["global_step"] == 12
    resume(broken.path)
    one, other = (torch.load(folder.last, weights_only=True) for folder in (whole, broken))
    for key in ("state_dict", "current_model_state", "optimizer_states", "lr_schedulers"):
        assert differing(one[key], other[key], key) == []
    assert one["optimizer_states"][0]["state"][0]["momentum_buffer"].any()
    assert whole.metrics.read_text() == broken.metrics.read_text()
