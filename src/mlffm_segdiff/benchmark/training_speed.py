"""Training images/s against a plain network under the same loss."""

from functools import partial
from typing import cast

import torch
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel

from mlffm_segdiff.benchmark.goals import GOALS, Findings, Result
from mlffm_segdiff.benchmark.peers import SWIN_FEATURES, settle_format
from mlffm_segdiff.benchmark.roofline import ARITHMETIC, gigaflops
from mlffm_segdiff.benchmark.subject import BATCH, Subject
from mlffm_segdiff.benchmark.timing import take_turns, time_ratio
from mlffm_segdiff.config.schema import Recipe
from mlffm_segdiff.data.batch import Batch, collate
from mlffm_segdiff.data.dataset import PairDataset
from mlffm_segdiff.data.synthetic import synthetic_pairs
from mlffm_segdiff.models.baselines.swin_unetr import SwinUNETR
from mlffm_segdiff.segmenters.assembly import build_loss, build_sampling, build_segmenter, build_weight
from mlffm_segdiff.segmenters.base import Segmenter
from mlffm_segdiff.segmenters.direct import DirectSegmenter
from mlffm_segdiff.training.callbacks import update_average
from mlffm_segdiff.training.module import SegmenterModule

OURS, SWIN = "training step", "training step, SwinUNETR-24"


class TrainingStep:
    """One step as `train` does it, on a batch that lies in memory: loss, gradients, optimiser, averages.

    The recipe's optimisation holds for any segmenter. dtype: bfloat16 trains in mixed precision.
    """

    def __init__(self, segmenter: Segmenter, recipe: Recipe, batch: Batch, dtype: torch.dtype) -> None:
        settings = recipe.train
        self.module = SegmenterModule(
            segmenter.train(),
            build_sampling(recipe.sampling),
            recipe.seed,
            settings.learning_rate,
            settings.weight_decay,
            warmup_steps=1,
            total_steps=1,
            optimizer=settings.optimizer,
            encoder_rate=settings.encoder_rate,
        )
        average = partial(update_average, settings.ema_decay)
        self.averaged = AveragedModel(segmenter, multi_avg_fn=average, use_buffers=True)
        self.optimizer = cast(Optimizer, self.module.configure_optimizers()["optimizer"])
        self.batch, self.clip, self.dtype = batch, settings.clip, dtype

    def __call__(self) -> None:
        """Take the step."""
        with torch.autocast(self.batch.image.device.type, torch.bfloat16, self.dtype == torch.bfloat16):
            loss = self.module.segmenter.loss(self.batch)
        loss.backward()  # type: ignore[no-untyped-call]
        self.module.configure_gradient_clipping(self.optimizer, self.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.averaged.update_parameters(self.module.segmenter)


def measure_training(subject: Subject) -> Findings:
    """Time a training step of the subject's recipe and of SwinUNETR-24."""
    batch = training_batch(BATCH, subject.model.size, subject.model.device)
    segmenters = contestants(subject.recipe, subject.model.device)
    settle_format(segmenters[SWIN], partial(_gradients, segmenters[SWIN], batch), subject.clock)
    steps = {
        name: TrainingStep(segmenter, subject.recipe, batch, subject.dtype)
        for name, segmenter in segmenters.items()
    }
    timings = take_turns(steps, subject.repeats, subject.clock)
    rates = {f"{name}, images/s": BATCH / timing.median for name, timing in timings.items()}
    ratio = Result(GOALS["train-swin_unetr"], time_ratio(timings[SWIN], timings[OURS]))
    return Findings((ratio,), timings, {"training": rates, ARITHMETIC: gigaflops(steps)})


def contestants(recipe: Recipe, device: torch.device) -> dict[str, Segmenter]:
    """Return fresh segmenters: the recipe's, and SwinUNETR-24 with the same loss."""
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


def _gradients(segmenter: Segmenter, batch: Batch) -> None:
    segmenter.zero_grad()
    segmenter.loss(batch).backward()  # type: ignore[no-untyped-call]
