import copy
import json
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
import torch

from mlffm_segdiff.config.schema import Recipe
from mlffm_segdiff.segmenters import precision as formats
from mlffm_segdiff.segmenters.assembly import build_segmenter
from mlffm_segdiff.segmenters.precision import random_batch, training_precision
from mlffm_segdiff.training import fit
from mlffm_segdiff.training.run_folder import RunFolder

MakeRecipe = Callable[..., Recipe]
CPU = torch.device("cpu")


@pytest.fixture
def auto(make_recipe: MakeRecipe) -> Recipe:
    return make_recipe(train={"precision": "auto", "images": 8, "validate_every": 4})


def give_bf16(monkeypatch: pytest.MonkeyPatch, has: bool) -> None:
    monkeypatch.setattr(formats, "has_bf16", lambda device: has)


def steps_taking(seconds: dict[torch.dtype, float], monkeypatch: pytest.MonkeyPatch) -> Callable[[], float]:
    """A clock that only training steps move, each by the seconds of its format."""
    now, real = 0.0, formats.training_step

    def gradients(segmenter: object, batch: object, dtype: torch.dtype) -> None:
        nonlocal now
        real(segmenter, batch, dtype)
        now += seconds[dtype]

    monkeypatch.setattr(formats, "training_step", gradients)
    return lambda: now


@pytest.mark.parametrize("asked", ["float32", "bf16"])
def test_a_requested_precision_is_used(asked: str, make_recipe: MakeRecipe) -> None:
    recipe = make_recipe(train={"precision": asked})
    assert training_precision(recipe, build_segmenter(recipe), CPU) == asked


@pytest.mark.parametrize(("bf16", "expected"), [(0.89, "bf16"), (0.95, "float32"), (3.0, "float32")])
def test_auto_is_what_the_runs_own_steps_are_faster_in(
    bf16: float, expected: str, auto: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_bf16(monkeypatch, True)
    clock = steps_taking({torch.float32: 1.0, torch.bfloat16: bf16}, monkeypatch)
    assert training_precision(auto, build_segmenter(auto), CPU, clock) == expected


def test_auto_is_float32_where_bf16_is_emulated(auto: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    give_bf16(monkeypatch, False)
    monkeypatch.setattr(formats, "training_step", None)
    assert training_precision(auto, build_segmenter(auto), CPU) == "float32"


@pytest.mark.parametrize(("native", "expected"), [(True, "bf16"), (False, "float32")])
def test_on_a_gpu_nothing_is_measured(
    native: bool, expected: str, auto: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_bf16(monkeypatch, native)
    monkeypatch.setattr(formats, "training_step", None)
    assert training_precision(auto, build_segmenter(auto), torch.device("cuda")) == expected


def test_measuring_changes_nothing(auto: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    give_bf16(monkeypatch, True)
    segmenter = build_segmenter(auto)
    before, state = copy.deepcopy(segmenter.state_dict()), torch.get_rng_state()
    ticks = count()
    training_precision(auto, segmenter, CPU, lambda: float(next(ticks)))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in segmenter.state_dict().items())
    assert all(parameter.grad is None for parameter in segmenter.parameters())


def test_a_batch_of_noise_is_like_one_of_images() -> None:
    batch = random_batch(3, 16, CPU)
    assert [part.shape for part in batch[:3]] == [(3, 3, 16, 16), (3, 1, 16, 16), (3, 1, 16, 16)]
    assert batch.image.abs().max() <= 1
    assert torch.equal(batch.mask, -batch.distance.sign())


@pytest.mark.parametrize(("first", "lightning"), [("bf16", "bf16-mixed"), ("float32", "32-true")])
def test_a_resumed_run_keeps_its_number_format(
    first: str, lightning: str, auto: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is measured once: were it measured again, it would now be the other."""
    seen, measured = [], iter([first])
    real = fit.Trainer

    def trainer(**settings: object) -> object:
        seen.append(settings["precision"])
        return real(**settings)

    monkeypatch.setattr(fit, "Trainer", trainer)
    monkeypatch.setattr(fit, "training_precision", lambda *_: next(measured))
    folder = RunFolder(tmp_path / "run")
    fit.train(auto, folder.path)
    fit.resume(folder.path)
    assert seen == [lightning, lightning]
    assert json.loads(folder.environment.read_text())["precision"] == first
    assert folder.recipe().train.precision == "auto"
