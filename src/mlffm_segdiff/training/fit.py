"""Train a recipe into a run folder, or resume a run."""

import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten

from lightning.pytorch import Callback, LightningDataModule, Trainer, seed_everything
from torch import device as Device
from torch.utils.data import DataLoader

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.paths import expanded
from mlffm_segdiff.config.schema import Recipe, TrainConfig
from mlffm_segdiff.data.batch import ONLY, Pair, Replica
from mlffm_segdiff.data.dataset import PairDataset, ShuffledStream, plain_loader, training_loader
from mlffm_segdiff.data.sources import (
    SplitCases,
    load_split_cases,
    open_splits,
    training_dataset,
    training_shares,
)
from mlffm_segdiff.files.atomic import NO_SPACE, unwritable
from mlffm_segdiff.models.encoder_weights import IMAGENET, initialise_encoder
from mlffm_segdiff.segmenters.assembly import build_segmenter
from mlffm_segdiff.segmenters.base import BaseSegmenter
from mlffm_segdiff.segmenters.device import AUTO, find_device
from mlffm_segdiff.segmenters.precision import Precision, training_precision
from mlffm_segdiff.segmenters.pretrained import load_pretrained, save_segmenter
from mlffm_segdiff.segmenters.recipe import load_recipe, override_recipe, with_absolute_paths
from mlffm_segdiff.segmenters.trial import require_memory, require_trainable
from mlffm_segdiff.training.callbacks import AtomicCheckpointIO, Averaging, BestAndLast
from mlffm_segdiff.training.figures import draw_curves, draw_overlays
from mlffm_segdiff.training.loggers import close_loggers, make_loggers, require_loggers
from mlffm_segdiff.training.module import SegmenterModule
from mlffm_segdiff.training.replicas import KeepSigterm, explained_errors, hardware, this_replica
from mlffm_segdiff.training.run_folder import RunFolder
from mlffm_segdiff.training.whole_batch_layers import WholeBatchLayers


@dataclass(frozen=True)
class TrainingResult:
    """A finished run.

    Attributes:
        run: Run folder.
        weights: Folder with the weights of the best checkpoint, as `load_pretrained` reads it.
        best_jaccard: Validation Jaccard index over all pixels, by which they were selected.
    """

    run: Path
    weights: Path
    best_jaccard: float


def train(
    recipe: Recipe | str | Path,
    run: Path | str,
    overrides: Sequence[str] = (),
    callbacks: Sequence[Callback] = (),
    device: str | Device = AUTO,
) -> TrainingResult:
    """Train a recipe into a new run folder. Prints nothing.

    On several devices the whole program runs once for each of them, and this returns the same in all.

    Example:
        >>> train("isic2018", "runs/first", ["data.sources.isic2018=/data/isic2018", "train.images=20000"])

    Args:
        recipe: Recipe, the name of a packaged one, or a YAML file.
        run: Folder to create; docs/TRAINING.md lists its files.
        overrides: KEY=VALUE changes to the recipe.
        callbacks: Lightning callbacks to add, such as `ConsoleProgress`.
        device: Device to train on, as for `find_device`.

    Returns:
        The run folder, its weights, and their validation score.

    Raises:
        UserError: If there is no such device, the folder is not empty or in use by another process, the
            recipe is invalid or its images or batches are too small for the network, its data cannot be read,
            the weights to start from do not fit, or a file cannot be written, as on a full disk; then
            `resume` continues the run.
        KeyboardInterrupt: On Ctrl-C; `resume` continues the run.
    """
    if isinstance(recipe, str | Path):
        recipe = load_recipe(str(recipe), overrides)
    elif not isinstance(recipe, Recipe):
        raise UserError(f"recipe is of type {type(recipe).__name__}; give a Recipe, a name or a YAML file")
    elif overrides:
        recipe = override_recipe(recipe, overrides)
    recipe = with_absolute_paths(recipe)
    place, folder = training_device(device), RunFolder(expanded(run))
    replica = this_replica(recipe.train, place)
    if replica.is_first:
        folder.require_new()
    with folder.claimed() if replica.is_first else nullcontext():
        cases = load_split_cases(recipe.data)
        segmenter, data = _prepare(recipe, cases, replica)
        licence = _load_initial_weights(segmenter, recipe.train)
        precision = training_precision(recipe, segmenter, place)
        if replica.is_first:
            known = recipe.train.init is None and recipe.train.encoder_init in (None, IMAGENET)
            initial = None if known else segmenter.state_dict()
            folder.create(recipe, cases, precision, place, licence, initial)
        return _fit(folder, segmenter, data, callbacks, None, place, precision)


def resume(
    run: Path | str,
    callbacks: Sequence[Callback] = (),
    device: str | Device = AUTO,
    overrides: Sequence[str] = (),
) -> TrainingResult:
    """Continue a run from its last checkpoint as if it had not stopped. Prints nothing.

    That the split has the same ids is checked, but not that images and masks are unchanged.

    On a CPU, with the same number of threads, the weights are the same bit for bit.

    Args:
        run: Run folder.
        callbacks: Lightning callbacks to add, such as `ConsoleProgress`.
        device: Device to train on, as for `find_device`; another kind than before changes how sums are
            rounded.
        overrides: Another ``train.devices=N`` or ``train.nodes=N``, which does too; no other key can change.

    Returns:
        The run folder, its weights, and their validation score.

    Raises:
        UserError: If there is no such device, the folder has no run or is in use by another process, its
            checkpoint cannot be resumed, its split has changed, or a file cannot be written.
        KeyboardInterrupt: On Ctrl-C.
    """
    place, folder = training_device(device), RunFolder(expanded(run))
    recipe = folder.recipe()
    if overrides:
        recipe = override_recipe(recipe, overrides)
        folder.require_recipe(recipe)
    replica = this_replica(recipe.train, place)
    with folder.claimed() if replica.is_first else nullcontext():
        cases = load_split_cases(recipe.data)
        folder.require_split(cases.digest)
        checkpoint = folder.checkpoint_to_resume()
        segmenter, data = _prepare(recipe, cases, replica)
        if checkpoint is None and (initial := folder.initial_weights()) is not None:
            segmenter.load_state_dict(initial)
        elif checkpoint is None:
            _load_initial_weights(segmenter, recipe.train)
        return _fit(folder, segmenter, data, callbacks, checkpoint, place, folder.precision())


def training_device(device: str | Device) -> Device:
    """Return the device to train on. Raises UserError if there is none, or Lightning cannot train on it."""
    place = find_device(device)
    if place.type == "xpu":
        raise UserError("training on xpu is not supported by Lightning; use --device cpu")
    return place


class TrainingData(LightningDataModule):
    """Training and validation batches of a recipe; an epoch is ``train.validate_every`` images.

    Training images are drawn from an endless shuffled stream, so an epoch is not a pass over the data.

    Args:
        recipe: Recipe of the run.
        cases: Cases of its split.
        replica: The process that these batches are for.

    Raises:
        UserError: If there are fewer validation images than processes.
    """

    def __init__(self, recipe: Recipe, cases: SplitCases, replica: Replica = ONLY) -> None:
        super().__init__()
        self.recipe = recipe
        self.replica = replica
        data = recipe.data
        training, pairs = open_splits(cases, ("train", "val"), data.size)
        self.training = training_dataset(training, cases, recipe.augment, data.size, recipe.seed)
        self.shares = training_shares(self.training.styles, data.mix)
        self.validation = PairDataset(pairs.images, pairs.masks, pairs.ids, None, recipe.seed)
        if len(self.validation) < replica.world_size:
            raise UserError(
                f"the split has {len(self.validation)} validation images for {replica.world_size} devices, "
                "and each needs one; train on fewer"
            )

    def train_dataloader(self) -> DataLoader[Pair]:
        """Return the batches of the current epoch; the last one ends with the run."""
        assert self.trainer is not None
        settings, epoch = self.recipe.train, self.trainer.current_epoch
        steps = epoch * settings.epoch_steps, min((epoch + 1) * settings.epoch_steps, settings.steps)
        start, stop = (step * settings.batch_size for step in steps)
        stream = ShuffledStream(self.shares, self.recipe.seed, start, stop, self.replica)
        return training_loader(self.training, stream, settings.batch_size, self.recipe.data.workers, pin=True)

    def val_dataloader(self) -> DataLoader[Pair]:
        """Return the validation cases in order."""
        return plain_loader(self.validation, self.recipe.train.batch_size, 0, self.replica)


def _prepare(recipe: Recipe, cases: SplitCases, replica: Replica) -> tuple[BaseSegmenter, TrainingData]:
    require_loggers(recipe.train.logger)
    require_memory(recipe)
    seed_everything(recipe.seed, verbose=False)
    segmenter = build_segmenter(recipe)
    require_trainable(segmenter, recipe)
    return segmenter, TrainingData(recipe, cases, replica)


def _load_initial_weights(segmenter: BaseSegmenter, settings: TrainConfig) -> str:
    """Load ``train.init``: weights by name, or the best checkpoint so far of a run that is not finished.

    Returns:
        The licence of these weights, if it is known.
    """
    if settings.init is None:
        if settings.encoder_init is not None:
            initialise_encoder(segmenter, settings.encoder_init)
        return ""
    run = RunFolder(expanded(settings.init))
    if run.is_unfinished():
        weights, licence = run.best_weights(), run.licence()
    else:
        found = load_pretrained(settings.init)
        weights, licence = found.segmenter.state_dict(), found.licence
    try:
        segmenter.load_state_dict(weights)
    except RuntimeError as error:
        reason = shorten(str(error).splitlines()[1], 120, placeholder=" ...")
        raise UserError(
            f"train.init={settings.init} has weights of another model than the recipe's ({reason}); "
            "give weights of the same model"
        ) from None
    return licence


@contextmanager
def _silent_log_thread() -> Iterator[None]:
    """Print no OSError of other threads: TensorBoard's writer raises its own again in the main thread."""
    report = threading.excepthook

    def hook(failure: threading.ExceptHookArgs) -> None:
        if not issubclass(failure.exc_type, OSError):
            report(failure)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = report


def _fit(
    folder: RunFolder,
    segmenter: BaseSegmenter,
    data: TrainingData,
    callbacks: Sequence[Callback],
    checkpoint: Path | None,
    device: Device,
    precision: Precision,
) -> TrainingResult:
    recipe, first = data.recipe, data.replica.is_first
    loggers = make_loggers(recipe, folder) if first else []
    several = data.replica.world_size > 1
    trainer = Trainer(
        **hardware(recipe.train, device),
        max_epochs=-(-recipe.train.steps // recipe.train.epoch_steps),
        precision="bf16-mixed" if precision == "bf16" else "32-true",
        reload_dataloaders_every_n_epochs=1,
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
        plugins=[AtomicCheckpointIO(), *([WholeBatchLayers(device.type == "cpu")] if several else [])],
        logger=loggers,
        callbacks=[
            Averaging(recipe.train.ema_decay),
            *callbacks,
            BestAndLast(folder.best, folder.last),
            *([KeepSigterm()] if several else []),
        ],
    )
    try:
        with warnings.catch_warnings(), _silent_log_thread(), explained_errors(folder.path):
            warnings.filterwarnings("ignore", category=UserWarning, module="lightning")
            warnings.filterwarnings("ignore", ".*LeafSpec.* is deprecated", FutureWarning)
            warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated", FutureWarning)
            warnings.filterwarnings("ignore", "Grad strides do not match bucket view", UserWarning)
            module = SegmenterModule(segmenter, recipe)
            trainer.fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=True)
    except SystemExit:  # Lightning's answer to Ctrl-C
        raise KeyboardInterrupt from None
    except OSError as error:  # of TensorBoard's log; all other files are written atomically
        if error.errno not in NO_SPACE:
            raise
        raise unwritable(Path(error.filename or folder.tensorboard), error) from error
    finally:
        close_loggers(loggers)
    result = _write_result(folder, segmenter, data, device) if first else None
    with explained_errors(folder.path):
        shared: TrainingResult = trainer.strategy.broadcast(result)
    return shared


def _write_result(
    folder: RunFolder, segmenter: BaseSegmenter, data: TrainingData, device: Device
) -> TrainingResult:
    segmenter.load_state_dict(folder.best_weights())
    save_segmenter(segmenter, data.recipe, folder.weights, licence=folder.licence())
    draw_curves(folder)
    draw_overlays(segmenter.to(device), data.recipe, data.validation, folder)
    return TrainingResult(folder.path, folder.weights, folder.best_jaccard())
