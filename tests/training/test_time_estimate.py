import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.schema import Recipe
from mlffm_segdiff.segmenters.recipe import load_recipe
from mlffm_segdiff.training import time_estimate
from mlffm_segdiff.training.time_estimate import StepTimer, TimeEstimate, duration, estimate_time


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of temporary files and the current one."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_times_are_taken_apart() -> None:
    """Steps of 2 s; validations of 2 batches of 4 images, 1 s an image; 3 s between; 7 s to finish."""
    watch = StepTimer()
    watch.steps = [[9.0, 12.0], [25.0, 27.0], [40.0, 42.0]]  # the first epoch warms up: 3 s a step
    watch.validations = [[(4.0, 4), (4.0, 4)]] * 3  # 27 + 8 + 3 + 2 = 40
    watch.validation_images, watch.ended = 20, 60.0
    found = watch.estimate(now=67.0)
    assert (found.measured_steps, found.step_seconds) == (4, 2.0)
    assert (found.validation_image_seconds, found.epoch_seconds, found.finish_seconds) == (1.0, 3.0, 7.0)


def test_the_time_of_a_run_is_that_of_its_steps_and_validations(make_recipe: Callable[..., Recipe]) -> None:
    measured = TimeEstimate(20, 0.5, 0.1, 2.0, 7.0, 999, 0, 0)
    found = measured.of(make_recipe(), 30)  # 100 steps, validated after each 12
    assert (found.steps, found.validations, found.validation_seconds) == (100, 9, 5.0)
    assert found.seconds == 50 + 9 * 5 + 7
    assert str(found) == (
        "about 2 min on this machine (20 steps measured: 0.5 s a step; 9 validations of 5 s)"
    )


def test_a_recipe_is_measured_and_nothing_is_left(make_recipe: Callable[..., Recipe], empty: Path) -> None:
    recipe = make_recipe()
    found = estimate_time(recipe, "CPU")
    assert (found.measured_steps, found.validation_images, found.synthetic) == (20, 2, False)
    assert found.steps == recipe.train.steps
    assert 0 < found.step_seconds < found.seconds
    assert list(empty.iterdir()) == []


def test_data_without_a_folder_are_replaced_by_synthetic_images(empty: Path) -> None:
    tiny = ["model.size=tiny", "data.size=32", "data.workers=0", "data.synthetic_count=20"]
    quick = ["train.encoder_init=null", "train.batch_size=2", "train.precision=float32"]
    found = estimate_time(load_recipe("isic2018", [*tiny, *quick]))
    assert found.synthetic
    assert found.validation_images == 194, "those of the packaged split, data/split_lists/README.md"
    assert "20 steps measured, on synthetic images: " in str(found)
    assert list(empty.iterdir()) == []


def test_slow_steps_are_measured_for_one_epoch(
    make_recipe: Callable[..., Recipe], empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time_estimate, "MAX_SECONDS", 0.0)
    assert estimate_time(make_recipe()).measured_steps == 5


def test_a_device_that_lightning_does_not_have_is_refused(
    make_recipe: Callable[..., Recipe], empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.xpu, "is_available", lambda: True)
    monkeypatch.setattr(torch.xpu, "device_count", lambda: 1)
    with pytest.raises(UserError, match="training on xpu is not supported by Lightning; use --device cpu"):
        estimate_time(make_recipe(), "xpu")


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(None, "?"), (0, "0 s"), (59.4, "59 s"), (60, "1 min"), (59.4 * 60, "59 min"), (3900, "1 h 05 min")],
)
def test_durations_are_short(seconds: float | None, shown: str) -> None:
    assert duration(seconds) == shown
