"""What happens beside the training loop: averaging, checkpoints, progress."""

import time
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint, WeightAveraging
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class Averaging(WeightAveraging):  # type: ignore[misc]
    """An exponential moving average of the weights, in fused updates; validation and checkpoints use it."""

    def __init__(self, decay: float) -> None:
        average = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
        super().__init__(multi_avg_fn=average, use_buffers=False)


def checkpoints(folder: Path) -> ModelCheckpoint:
    """Return the callback that keeps the newest state and the one with the best validation Jaccard."""
    keep = ModelCheckpoint(
        folder,
        filename="best",
        monitor="val_jaccard",
        mode="max",
        save_last=True,
        save_on_train_epoch_end=True,
        enable_version_counter=False,
    )
    keep.CHECKPOINT_NAME_LAST = "last"
    return keep


class ImagesProgress(Callback):  # type: ignore[misc]
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

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print one line a validation, which stays on the screen and in logs."""
        del pl_module
        found = float(trainer.callback_metrics["val_jaccard"])
        self.jaccard = f"{found:.4f}"
        images, seconds = trainer.global_step * self.batch_size, time.monotonic() - self.started
        self.progress.console.print(f"{images} images, {seconds:.0f} s: validation Jaccard {found:.4f}")

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Take the bar away, also after an error."""
        del trainer, pl_module, stage
        self.progress.stop()
