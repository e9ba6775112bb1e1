"""Training speed, compared with SwinUNETR under the same loss."""

from functools import partial

import torch
from torch.optim.swa_utils import AveragedModel

from mlffm_segdiff.benchmark.goals import GOALS, Findings, Result
from mlffm_segdiff.benchmark.peers import SWIN_FEATURES, choose_memory_format
from mlffm_segdiff.benchmark.roofline import ARITHMETIC, gigaflops
from mlffm_segdiff.benchmark.subject import BATCH, Subject
from mlffm_segdiff.benchmark.timing import take_turns, time_ratio
from mlffm_segdiff.config.schema import Recipe
from mlffm_segdiff.data.batch import Batch, collate
from mlffm_segdiff.data.dataset import PairDataset
from mlffm_segdiff.data.synthetic import synthetic_pairs
from mlffm_segdiff.models.baselines.swin_unetr import SwinUNETR
from mlffm_segdiff.segmenters.assembly import build_loss, build_segmenter, build_weight
from mlffm_segdiff.segmenters.base import BaseSegmenter
from mlffm_segdiff.segmenters.direct import DirectSegmenter
from mlffm_segdiff.training.callbacks import update_average
from mlffm_segdiff.training.module import build_optimizer, update_weights

OURS, SWIN = "training step", "training step, SwinUNETR-24"


class TrainingStep:
    """One training step as `train` takes it, on a batch in memory.

    Args:
        segmenter: Segmenter to train.
        recipe: Recipe whose optimizer, clipping and weight averaging are used.
        batch: Batch on the segmenter's device.
        dtype: torch.float32, or torch.bfloat16 for mixed precision.
    """

    def __init__(self, segmenter: BaseSegmenter, recipe: Recipe, batch: Batch, dtype: torch.dtype) -> None:
        settings = recipe.train
        self.segmenter = segmenter.train()
        self.optimizer = build_optimizer(segmenter, settings)
        average = partial(update_average, settings.ema_decay)
        self.averaged = AveragedModel(segmenter, multi_avg_fn=average, use_buffers=True)
        self.batch, self.clip, self.dtype = batch, settings.clip, dtype

    def __call__(self) -> None:
        """Take the step."""
        with torch.autocast(self.batch.image.device.type, torch.bfloat16, self.dtype == torch.bfloat16):
            update_weights(self.segmenter, self.batch, self.optimizer, self.clip)
        self.averaged.update_parameters(self.segmenter)


def measure_training(subject: Subject) -> Findings:
    """Time a training step of the subject's recipe and one of SwinUNETR-24."""
    batch = training_batch(BATCH, subject.model.size, subject.model.device)
    segmenters = contestants(subject.recipe, subject.model.device)
    choose_memory_format(segmenters[SWIN], partial(_gradients, segmenters[SWIN], batch), subject.clock)
    steps = {
        name: TrainingStep(segmenter, subject.recipe, batch, subject.dtype)
        for name, segmenter in segmenters.items()
    }
    timings = take_turns(steps, subject.repeats, subject.clock)
    rates = {f"{name}, images/s": BATCH / timing.median for name, timing in timings.items()}
    ratio = Result(GOALS["train-swin_unetr"], time_ratio(timings[SWIN], timings[OURS]))
    return Findings((ratio,), timings, {"training": rates, ARITHMETIC: gigaflops(steps)})


def contestants(recipe: Recipe, device: torch.device) -> dict[str, BaseSegmenter]:
    """Build segmenters with random weights: the recipe's, and SwinUNETR-24 with the same loss."""
    swin = DirectSegmenter(SwinUNETR(SWIN_FEATURES), build_loss(recipe.loss), build_weight(recipe.loss))
    made = {OURS: build_segmenter(recipe), SWIN: swin}
    return {name: segmenter.to(device) for name, segmenter in made.items()}


def training_batch(count: int, size: int, device: torch.device) -> Batch:
    """Return synthetic cases as a batch on the device."""
    ids, images, masks = synthetic_pairs(count, size, seed=0)
    pairs = PairDataset(images, masks, ids, None, seed=0)
    batch = collate([pairs[index] for index in range(count)])
    image, mask, distance = (part.to(device) for part in (batch.image, batch.mask, batch.distance))
    return Batch(image, mask, distance, batch.ids, batch.styles)


def _gradients(segmenter: BaseSegmenter, batch: Batch) -> None:
    segmenter.zero_grad()
    segmenter.loss(batch).backward()  # type: ignore[no-untyped-call]
