"""Train a recipe into a run folder."""

import logging
import warnings
from pathlib import Path

from lightning.pytorch import LightningDataModule, Trainer, seed_everything
from lightning.pytorch.loggers import TensorBoardLogger
from rich.console import Console
from torch.utils.data import DataLoader

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.schema import Recipe, TrainConfig
from mlffm_segdiff.data.batch import Pair
from mlffm_segdiff.data.dataset import PairDataset, plain_loader, training_loader
from mlffm_segdiff.data.sources import (
    SplitCases,
    load_split_cases,
    open_split,
    training_dataset,
    training_shares,
)
from mlffm_segdiff.models.encoder_weights import initialise_encoder
from mlffm_segdiff.segmenters.assembly import build_sampling, build_segmenter
from mlffm_segdiff.segmenters.base import Segmenter
from mlffm_segdiff.segmenters.device import best_device
from mlffm_segdiff.segmenters.precision import Precision
from mlffm_segdiff.segmenters.pretrained import load_pretrained, save_segmenter
from mlffm_segdiff.training.callbacks import Averaging, ImagesProgress, WholeCheckpoints, checkpoints
from mlffm_segdiff.training.metrics_log import MetricsLog
from mlffm_segdiff.training.module import SegmenterModule
from mlffm_segdiff.training.pictures import draw_curves, draw_overlays
from mlffm_segdiff.training.precision import training_precision
from mlffm_segdiff.training.run_folder import RunFolder, best_weights, read_checkpoint


def train(recipe: Recipe, folder: RunFolder, console: Console) -> None:
    """Train ``recipe`` from the start into ``folder``. Raises UserError if it already holds a run."""
    folder.refuse_run()
    parts = load_split_cases(recipe.data)
    segmenter, loaders = _prepare(recipe, parts)
    _load_initial_weights(segmenter, recipe.train)
    precision = training_precision(recipe, segmenter, best_device())
    folder.begin(recipe, parts.digest, precision)
    _fit(recipe, segmenter, loaders, folder, console, precision, checkpoint=None)


def resume(folder: RunFolder, console: Console) -> None:
    """Go on with the run in ``folder`` from its newest checkpoint, exactly as if it had not stopped.

    Raises UserError if it holds no run, or the split is no longer the run's.
    """
    recipe = folder.recipe()
    parts = load_split_cases(recipe.data)
    folder.require_split(parts.digest)
    checkpoint = folder.last if folder.last.is_file() else None
    if checkpoint is not None:
        read_checkpoint(checkpoint)
    segmenter, loaders = _prepare(recipe, parts)
    if checkpoint is None:
        _load_initial_weights(segmenter, recipe.train)
    _fit(recipe, segmenter, loaders, folder, console, folder.precision(), checkpoint)


class TrainingLoaders(LightningDataModule):
    """Batches by images seen: an epoch of Lightning's is ``validate_every`` images of the endless stream."""

    def __init__(self, recipe: Recipe, parts: SplitCases) -> None:
        super().__init__()
        data, self.settings = recipe.data, recipe.train
        self.seed, self.workers = recipe.seed, data.workers
        pairs = open_split(parts, "val", data.size)
        self.training = training_dataset(
            open_split(parts, "train", data.size), parts, recipe.augment, data.size, recipe.seed
        )
        self.shares = training_shares(self.training.styles, data.mix)
        self.validation = PairDataset(pairs.images, pairs.masks, pairs.ids, None, recipe.seed)
        self.epoch_steps = max(self.settings.validate_every // self.settings.batch_size, 1)
        self.steps = max(self.settings.images // self.settings.batch_size, 1)
        self.epochs = -(-self.steps // self.epoch_steps)

    def train_dataloader(self) -> DataLoader[Pair]:
        """Return the batches from this epoch's first to its last, or to the run's last."""
        assert self.trainer is not None
        first = self.trainer.current_epoch * self.epoch_steps
        size = self.settings.batch_size
        start, stop = first * size, min(first + self.epoch_steps, self.steps) * size
        return training_loader(
            self.training, self.shares, size, self.seed, start, stop, self.workers, pin=True
        )

    def val_dataloader(self) -> DataLoader[Pair]:
        """Return the validation cases in their order."""
        return plain_loader(self.validation, self.settings.batch_size, workers=0)


def _prepare(recipe: Recipe, parts: SplitCases) -> tuple[Segmenter, TrainingLoaders]:
    seed_everything(recipe.seed, verbose=False)
    return build_segmenter(recipe), TrainingLoaders(recipe, parts)


def _load_initial_weights(segmenter: Segmenter, settings: TrainConfig) -> None:
    if settings.init is not None:
        _start_from(settings.init, segmenter)
    elif settings.encoder_init is not None:
        initialise_encoder(segmenter, settings.encoder_init)


def _start_from(name: str, segmenter: Segmenter) -> None:
    try:
        segmenter.load_state_dict(load_pretrained(name).segmenter.state_dict())
    except RuntimeError as error:
        reason = str(error).splitlines()[1].strip()
        raise UserError(f"train.init={name} is another model than the recipe's ({reason})") from None


def _fit(
    recipe: Recipe,
    segmenter: Segmenter,
    loaders: TrainingLoaders,
    folder: RunFolder,
    console: Console,
    precision: Precision,
    checkpoint: Path | None,
) -> None:
    trainer = _trainer(recipe, folder, loaders.epochs, console, precision)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module="lightning")
        warnings.filterwarnings("ignore", ".*LeafSpec.* is deprecated", FutureWarning)
        module = _module(segmenter, recipe, loaders.steps)
        trainer.fit(module, datamodule=loaders, ckpt_path=checkpoint, weights_only=True)
    segmenter.load_state_dict(best_weights(folder))
    save_segmenter(segmenter, recipe, folder.weights)
    draw_curves(folder)
    draw_overlays(segmenter, recipe, loaders.validation, folder)


def _module(segmenter: Segmenter, recipe: Recipe, steps: int) -> SegmenterModule:
    settings = recipe.train
    return SegmenterModule(
        segmenter,
        build_sampling(recipe.sampling),
        recipe.seed,
        settings.learning_rate,
        settings.weight_decay,
        max(round(settings.warmup / settings.batch_size), 1),
        steps,
        settings.optimizer,
        settings.encoder_rate if settings.init or settings.encoder_init else 1.0,
    )


def _trainer(
    recipe: Recipe, folder: RunFolder, epochs: int, console: Console, precision: Precision
) -> Trainer:
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    settings = recipe.train
    return Trainer(
        accelerator="auto",
        devices=1,
        max_epochs=epochs,
        precision="bf16-mixed" if precision == "bf16" else "32-true",
        gradient_clip_val=settings.clip,
        reload_dataloaders_every_n_epochs=1,
        num_sanity_val_steps=0,
        log_every_n_steps=50,
        enable_progress_bar=False,
        enable_model_summary=False,
        plugins=[WholeCheckpoints()],
        logger=[
            MetricsLog(folder.metrics),
            TensorBoardLogger(folder.path, name="", version="tensorboard"),
        ],
        callbacks=[
            Averaging(settings.ema_decay),
            *checkpoints(folder.checkpoints),
            ImagesProgress(settings.images, settings.batch_size, console),
        ],
    )
