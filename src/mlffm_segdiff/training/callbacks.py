"""Lightning callbacks of a run: averaged weights, checkpoints, and progress on a console."""

import math
import time
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint, WeightAveraging
from lightning.pytorch.plugins.io import TorchCheckpointIO
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from mlffm_segdiff.files.atomic import write_bytes

STATISTICS = ("running_mean", "running_var")
"""Names of the buffers of normalisation layers."""


class Averaging(WeightAveraging):
    """Moving average of weights and of batch norm statistics, used for validation and in checkpoints.

    Other buffers are copied: an average of infinite values, as in attention masks, would be NaN.

    Args:
        decay: Share of the old average that is kept at each step, in [0, 1); see `update_average`.
    """

    def __init__(self, decay: float) -> None:
        super().__init__(multi_avg_fn=partial(update_average, decay), use_buffers=True)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Update the averages."""
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        assert self._average_model is not None
        averages = dict(self._average_model.module.named_buffers())
        for name, value in pl_module.named_buffers():
            if name.rpartition(".")[2] not in STATISTICS:
                averages[name].copy_(value)


def update_average(decay: float, averages: list[Tensor], current: list[Tensor], updates: Tensor) -> None:
    """Update exponential averages with the current values, in place; integers are copied.

    Args:
        decay: Share of the old average that is kept, in [0, 1). It is limited to 1 - (1 + updates)^(-2/3), as
            in diffusers' EMAModel, so that the initial weights do not dominate a short run.
        averages: Averages to update.
        current: Current values, of the same shapes.
        updates: Number of updates before this one, a scalar.
    """
    if not averages[0].is_floating_point():
        torch._foreach_copy_(averages, current)
        return
    decay = min(decay, 1 - (1 + int(updates)) ** (-2 / 3))
    torch._foreach_lerp_(averages, current, 1 - decay)


class BestAndLast(Checkpoint):
    """Saves last.ckpt after each epoch, and best.ckpt if the validation Jaccard improved.

    Args:
        best: Path of best.ckpt.
        last: Path of last.ckpt.
    """

    def __init__(self, best: Path, last: Path) -> None:
        self.best, self.last = best, last
        self.best_jaccard = -math.inf

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the checkpoints of this epoch."""
        del pl_module
        found = float(trainer.callback_metrics["val_jaccard"])
        if found > self.best_jaccard:
            self.best_jaccard = found
            trainer.save_checkpoint(self.best)
        trainer.save_checkpoint(self.last)

    def state_dict(self) -> dict[str, Any]:
        """Return the best validation Jaccard so far."""
        return {"best_jaccard": self.best_jaccard}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the best validation Jaccard of a resumed run."""
        self.best_jaccard = state_dict["best_jaccard"]


class AtomicCheckpointIO(TorchCheckpointIO):
    """Replaces a checkpoint atomically, so a killed run keeps its last complete one."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: object = None
    ) -> None:
        """Write ``checkpoint`` to ``path``."""
        del storage_options
        encoded = BytesIO()  # torch hides the cause when it fails to write a file
        torch.save(checkpoint, encoded)
        write_bytes(Path(path), encoded.getbuffer())


class ConsoleProgress(Callback):
    """Shows a progress bar over the whole run, and prints one line for each validation.

    Of several processes, only the first prints.

    Args:
        console: Console to print on.
    """

    def __init__(self, console: Console) -> None:
        columns = (
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[report]}"),
            TimeRemainingColumn(),
        )
        self.progress = Progress("training", *columns, console=console, refresh_per_second=2)
        self.task = self.progress.add_task("training", total=None, report="")
        self.loss, self.jaccard = "-", "-"
        self.started = time.monotonic()

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Silence the console of all processes but the first."""
        del pl_module, stage
        self.progress.console.quiet |= not trainer.is_global_zero

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the bar at the images already seen."""
        self.progress.update(
            self.task, total=pl_module.recipe.train.steps * pl_module.recipe.train.batch_size
        )
        self._move(trainer, pl_module)
        self.progress.start()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Update the bar and the loss."""
        del batch
        if batch_idx % 10 == 0:
            self.loss = f"{float(outputs['loss']):.3f}"
            self._move(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Move the bar to the last image, with the last score."""
        self._move(trainer, pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the validation Jaccard."""
        found = float(trainer.callback_metrics["val_jaccard"])
        self.jaccard = f"{found:.4f}"
        images, seconds = self._move(trainer, pl_module), time.monotonic() - self.started
        self.progress.console.print(f"{images} images, {seconds:.0f} s: validation Jaccard {found:.4f}")

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Remove the bar before an error is reported; Lightning calls no teardown then."""
        del trainer, pl_module, exception
        self.progress.stop()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Remove the bar."""
        del trainer, pl_module, stage
        self.progress.stop()

    def _move(self, trainer: Trainer, pl_module: LightningModule) -> int:
        images: int = trainer.global_step * pl_module.recipe.train.batch_size
        report = f"loss {self.loss}  val Jaccard {self.jaccard}"
        self.progress.update(self.task, completed=images, report=report)
        return images
