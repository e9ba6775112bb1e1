"""What happens beside the training loop: averaging, checkpoints, progress."""

import time
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint, WeightAveraging
from lightning.pytorch.plugins.io import TorchCheckpointIO
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from mlffm_segdiff.data.atomic import atomic_write


class Averaging(WeightAveraging):
    """The moving average that validation and checkpoints use: of weights, and of batch norms' statistics."""

    def __init__(self, decay: float) -> None:
        super().__init__(multi_avg_fn=partial(update_average, decay), use_buffers=True)


def update_average(decay: float, averages: list[Tensor], current: list[Tensor], updates: Tensor) -> None:
    """Move exponential averages towards the current values, in place; whole numbers are copied.

    The decay is at most 1 - (1 + updates)^(-2/3), as in diffusers' EMAModel, so that the first weights do not
    stay in the average of a short run.
    """
    if not averages[0].is_floating_point():
        torch._foreach_copy_(averages, current)
        return
    decay = min(decay, 1 - (1 + int(updates)) ** (-2 / 3))
    torch._foreach_lerp_(averages, current, 1 - decay)


class Checkpoint(ModelCheckpoint):
    """Keeps one state, after an epoch, as FILENAME.ckpt: the newest, or that with the highest ``monitor``."""

    def __init__(self, folder: Path, filename: str, monitor: str | None = None) -> None:
        super().__init__(
            folder,
            filename=filename,
            monitor=monitor,
            mode="max",
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over which state was best, also where the run folder has moved."""
        paths = ("best_model_path", "kth_best_model_path", "last_model_path")
        moved = {name: self._here(state_dict[name]) for name in paths}
        best = {self._here(path): score for path, score in state_dict["best_k_models"].items()}
        super().load_state_dict({**state_dict, **moved, "best_k_models": best, "dirpath": self.dirpath})

    def _here(self, path: str) -> str:
        return str(Path(self.dirpath) / Path(path).name) if path else path


def checkpoints(folder: Path) -> list[Checkpoint]:
    """Return the callbacks that keep best.ckpt, by validation Jaccard, and last.ckpt.

    last.ckpt holds the state of its forerunners in the list, so best comes first.
    """
    return [Checkpoint(folder, "best", "val_jaccard"), Checkpoint(folder, "last")]


class WholeCheckpoints(TorchCheckpointIO):
    """Writes a checkpoint beside its place, then moves it there: a killed run leaves the last one whole."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: object = None
    ) -> None:
        """Write ``checkpoint`` to ``path``."""
        del storage_options
        with atomic_write(Path(path)) as temporary:
            torch.save(checkpoint, temporary)


class ImagesProgress(Callback):
    """One bar over the whole run: images seen, loss, validation Jaccard, time left."""

    def __init__(self, images: int, batch_size: int, console: Console) -> None:
        columns = (
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[report]}"),
            TimeRemainingColumn(),
        )
        self.progress = Progress("training", *columns, console=console, refresh_per_second=2)
        self.task = self.progress.add_task("training", total=images, report="")
        self.batch_size = batch_size
        self.jaccard = "-"
        self.started = time.monotonic()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the bar at the images already seen."""
        del pl_module
        self.progress.update(self.task, completed=trainer.global_step * self.batch_size)
        self.progress.start()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the bar."""
        del pl_module, batch
        if batch_idx % 10 == 0:
            report = f"loss {float(outputs['loss']):.3f}  val Jaccard {self.jaccard}"
            self.progress.update(self.task, completed=trainer.global_step * self.batch_size, report=report)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the bar at the last image."""
        del pl_module
        self.progress.update(self.task, completed=trainer.global_step * self.batch_size)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print one line a validation, which stays on the screen and in logs."""
        del pl_module
        found = float(trainer.callback_metrics["val_jaccard"])
        self.jaccard = f"{found:.4f}"
        images, seconds = trainer.global_step * self.batch_size, time.monotonic() - self.started
        self.progress.update(self.task, completed=images)
        self.progress.console.print(f"{images} images, {seconds:.0f} s: validation Jaccard {found:.4f}")

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Take the bar away before an error is told; Lightning calls no teardown then."""
        del trainer, pl_module, exception
        self.progress.stop()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Take the bar away."""
        del trainer, pl_module, stage
        self.progress.stop()
