"""How long a training will take on this machine, measured on its first steps."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import device as Device

from mlffm_segdiff.config.schema import Recipe
from mlffm_segdiff.data.splits import OFFICIAL, official_split
from mlffm_segdiff.data.table import SYNTHETIC
from mlffm_segdiff.segmenters.device import AUTO, device_clock
from mlffm_segdiff.training.fit import train, training_device

EPOCH_STEPS = 5
"""Steps between two validations while measuring."""
EPOCHS = 5
"""The first one warms up, the others are measured."""
VALIDATION_BATCHES = 4
"""Batches of each validation while measuring."""
MAX_SECONDS = 60.0
"""Time after which measuring ends with the current epoch, but not before one is measured."""


@dataclass(frozen=True)
class TimeEstimate:
    """The time of a training, from steps measured on this machine. Reading the data is not included.

    Attributes:
        measured_steps: Steps that were measured, after those that warm up.
        step_seconds: Mean time of a step, with loading its batch.
        validation_image_seconds: Time of a validation per image.
        epoch_seconds: Other time of an epoch: starting to load images, averaging, checkpoints.
        finish_seconds: Time after the last step: weights and figures.
        validation_images: Images of each validation.
        steps: Steps of the run.
        validations: Validations of the run.
        synthetic: Whether synthetic images took the place of a data set without a folder.
    """

    measured_steps: int
    step_seconds: float
    validation_image_seconds: float
    epoch_seconds: float
    finish_seconds: float
    validation_images: int
    steps: int
    validations: int
    synthetic: bool = False

    @property
    def validation_seconds(self) -> float:
        """Time of one validation, with its checkpoint."""
        return self.validation_images * self.validation_image_seconds + self.epoch_seconds

    @property
    def seconds(self) -> float:
        """Time of the run."""
        training = self.steps * self.step_seconds
        return training + self.validations * self.validation_seconds + self.finish_seconds

    def __str__(self) -> str:
        validations = f"{self.validations} validations of {self.validation_seconds:.2g} s"
        images = ", on synthetic images" if self.synthetic else ""
        return (
            f"about {duration(self.seconds)} on this machine ({self.measured_steps} steps measured{images}: "
            f"{self.step_seconds:.2g} s a step; {validations})"
        )

    def of(self, recipe: Recipe, validation_images: int) -> "TimeEstimate":
        """Return the estimate for another run of the same network, image size and batch size."""
        settings = recipe.train
        return replace(
            self,
            steps=settings.steps,
            validations=-(-settings.steps // settings.epoch_steps),
            validation_images=validation_images,
        )


def estimate_time(recipe: Recipe, device: str | Device = AUTO) -> TimeEstimate:
    """Estimate the time of a training: run its first steps and a part of its validation.

    They run on as many devices as the training, in a folder that is removed.

    Args:
        recipe: Recipe of the training. Data sets without a folder are replaced by synthetic images.
        device: Device to train on, as for `find_device`.

    Raises:
        UserError: As `train`.
    """
    place = training_device(device)
    short, synthetic = _short(recipe)
    watch = StepTimer(device_clock(place))
    with TemporaryDirectory() as folder:
        train(short, Path(folder) / "run", callbacks=[watch], device=place)
        found = watch.estimate(watch.clock())
    images = _official_validation_images(recipe) if synthetic else None
    return replace(found.of(recipe, images or found.validation_images), synthetic=synthetic)


def _short(recipe: Recipe) -> tuple[Recipe, bool]:
    """Return the recipe of the measured run, and whether it takes synthetic images."""
    epoch = EPOCH_STEPS * recipe.train.batch_size
    settings = {"images": EPOCHS * epoch, "validate_every": epoch, "logger": ("csv",)}
    synthetic = any(path is None and name != SYNTHETIC for name, path in recipe.data.sources.items())
    data = {"sources": {SYNTHETIC: None}, "mix": None, "split": None} if synthetic else {}
    sections = {
        "train": recipe.train.model_copy(update=settings),
        "data": recipe.data.model_copy(update=data),
    }
    return recipe.model_copy(update=sections), synthetic


def _official_validation_images(recipe: Recipe) -> int | None:
    """Return the number of validation images in the packaged splits, or None if a source has none."""
    if not set(recipe.data.sources) <= set(OFFICIAL):
        return None
    return sum(len(official_split(name).ids("val")) for name in recipe.data.sources)


class StepTimer(Callback):
    """Notes when the steps and validations of a run end, and shortens the validations.

    Args:
        clock: Returns the time in seconds, when the device has finished its work.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.clock = clock
        self.steps: list[list[float]] = []
        self.validations: list[list[tuple[float, int]]] = []
        self.validation_images = 0
        self.ended = 0.0
        self._batch_start = 0.0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Limit the batches of a validation."""
        del pl_module, stage
        trainer.limit_val_batches = VALIDATION_BATCHES
        self.validation_images = len(trainer.datamodule.validation)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin an epoch."""
        del trainer, pl_module
        self.steps.append([])
        self.validations.append([])

    def on_train_batch_end(self, *_: Any) -> None:
        """Note the end of a step."""
        self.steps[-1].append(self.clock())

    def on_validation_batch_start(self, *_: Any) -> None:
        """Note the start of a batch of a validation."""
        self._batch_start = self.clock()

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        """Note the time of a batch of a validation."""
        del pl_module, outputs
        images = len(batch.ids) * trainer.world_size
        self.validations[-1].append((self.clock() - self._batch_start, images))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop if enough time is spent."""
        del pl_module
        late = len(self.steps) > 1 and self.steps[-1][-1] - self.steps[0][-1] > MAX_SECONDS
        if trainer.strategy.reduce_boolean_decision(late, all=False):
            trainer.should_stop = True

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note the end of the steps."""
        del trainer, pl_module
        self.ended = self.clock()

    def estimate(self, now: float) -> TimeEstimate:
        """Return the measured times, for a run of no steps.

        Args:
            now: When weights and figures of the run were written.
        """
        measured = self.steps[1:]
        step = statistics.mean(end - start for ends in measured for start, end in pairwise(ends))
        batches = [batch for batches in self.validations[1:] for batch in batches]
        between = [
            after[0] - before[-1] - step - sum(seconds for seconds, _ in validation)
            for before, after, validation in zip(self.steps, measured, self.validations, strict=False)
        ]
        return TimeEstimate(
            measured_steps=sum(map(len, measured)),
            step_seconds=step,
            validation_image_seconds=sum(seconds for seconds, _ in batches)
            / sum(count for _, count in batches),
            epoch_seconds=max(statistics.median(between), 0.0),
            finish_seconds=now - self.ended,
            validation_images=self.validation_images,
            steps=0,
            validations=0,
        )


def duration(seconds: float | None) -> str:
    """Format a time: 40 s, 12 min, 3 h 05 min; "?" for None."""
    if seconds is None:
        return "?"
    if seconds < 60:
        return f"{round(seconds)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"
