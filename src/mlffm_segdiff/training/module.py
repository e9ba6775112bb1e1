"""The training step, the optimizer with its schedule, and the validation that selects the checkpoint."""

import math
from collections.abc import Callable
from itertools import chain, zip_longest
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor, distributed
from torch.nn.utils import clip_grad_norm_
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.schema import Recipe, TrainConfig
from mlffm_segdiff.data.batch import Batch
from mlffm_segdiff.metrics.certainty import THRESHOLD
from mlffm_segdiff.metrics.overlap import Counts, count_pixels, jaccard, total
from mlffm_segdiff.models.encoders import pretrained_encoder
from mlffm_segdiff.segmenters.assembly import checked_sampling
from mlffm_segdiff.segmenters.base import BaseSegmenter

NNUNET_MOMENTUM = 0.99
NNUNET_POWER = 0.9


def seed_of_step(seed: int, step: int) -> int:
    """Return the seed of a step's random numbers, by NumPy's SeedSequence.

    On a CPU torch's generator reads only the lower 32 bits of a seed, so both numbers must change these.

    Args:
        seed: Seed of the run, at least 0.
        step: Number of the step, from 0.
    """
    return int(np.random.SeedSequence([seed, step]).generate_state(1)[0])


class DivergedError(UserError):
    """The loss is not finite; all processes of a training find this at the same step."""


def update_weights(
    segmenter: BaseSegmenter,
    batch: Batch,
    optimizer: Optimizer | LightningOptimizer,
    clip: float,
    backward: Callable[[Tensor], object] = Tensor.backward,
) -> Tensor:
    """Take one optimizer step on a batch.

    Args:
        segmenter: Segmenter in training mode.
        batch: Training cases, on the segmenter's device.
        optimizer: Optimizer of the segmenter's parameters.
        clip: Maximum L2 norm of all gradients together.
        backward: Computes the gradients of the loss, in several processes their mean.

    Returns:
        The loss of the batch before the step, a scalar without gradient.
    """
    loss = segmenter.loss(batch)
    optimizer.zero_grad()
    backward(loss)
    clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], clip)
    optimizer.step()
    return loss.detach()


class SegmenterModule(LightningModule):
    """Trains and validates a segmenter by its recipe, as a Lightning module with manual optimization.

    The random numbers of a step depend only on the seed and on the number of the step, so a resumed run draws
    the same ones, in any number of processes.

    Args:
        segmenter: Segmenter to train.
        recipe: Recipe of the run.
    """

    def __init__(self, segmenter: BaseSegmenter, recipe: Recipe) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.segmenter = segmenter
        self.recipe = recipe
        self.sampling = checked_sampling(recipe.sampling)
        self._cases: list[Counts] = []

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Update the weights and the learning rate, and return the loss."""
        del batch_idx
        torch.manual_seed(seed_of_step(self.recipe.seed, self.global_step))
        clip = self.recipe.train.clip
        loss = update_weights(self.segmenter, batch, self.optimizers(), clip, self.manual_backward)
        self.lr_schedulers().step()
        count = len(batch.ids)
        self.log("loss", loss, on_step=False, on_epoch=True, logger=False, batch_size=count, sync_dist=True)
        return loss

    def on_train_epoch_end(self) -> None:
        """Log the mean loss, before the checkpoint is saved from which a killed run resumes.

        Raises:
            DivergedError: The loss is not finite.
        """
        assert self.trainer is not None
        loss = float(self.trainer.callback_metrics["loss"])
        if not math.isfinite(loss):
            raise DivergedError(
                f"the training diverged: the loss is {loss} after {self.global_step} steps; "
                "start a new run with a lower train.learning_rate or train.clip, or in float32"
            )
        for logger in self.loggers:
            logger.log_metrics({"loss": loss, "epoch": self.current_epoch}, self.global_step - 1)

    def configure_optimizers(self) -> dict[str, object]:
        """Return the optimizer, and the schedule that is stepped after each of its steps."""
        optimizer = build_optimizer(self.segmenter, self.recipe.train)
        schedule = LambdaLR(optimizer, lambda step: rate_share(step, self.recipe.train))
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Segment a batch with the recipe's sampling and count its pixels."""
        del batch_idx
        found = self.segmenter.segment(batch.image, self.sampling).probability >= THRESHOLD
        for predicted, truth in zip(
            found[:, 0].cpu().numpy(), (batch.mask[:, 0] > 0).cpu().numpy(), strict=True
        ):
            self._cases.append(count_pixels(predicted, truth))

    def on_validation_epoch_end(self) -> None:
        """Log the Jaccard index over all pixels (val_jaccard) and its mean over images."""
        cases = self._all_cases()
        self.log("val_jaccard", jaccard(total(cases)))
        self.log("val_jaccard_mean", sum(map(jaccard, cases)) / len(cases))
        self._cases.clear()

    def _all_cases(self) -> list[Counts]:
        """Return the counts of all processes in the order of the cases, which were dealt out in turn."""
        if self.trainer.world_size == 1:
            return list(self._cases)
        parts: list[Any] = [None] * self.trainer.world_size
        distributed.all_gather_object(parts, self._cases)
        return [case for case in chain(*zip_longest(*parts)) if case is not None]


def build_optimizer(segmenter: BaseSegmenter, settings: TrainConfig) -> Optimizer:
    """Build AdamW without weight decay on biases and norms, or nnU-Net's SGD with Nesterov momentum.

    Args:
        segmenter: Segmenter whose parameters are optimised.
        settings: Optimizer, learning rate, weight decay, and the rate of a pretrained encoder as a share of
            the learning rate. An encoder that starts from random weights has the common rate.

    Returns:
        The optimizer, with one parameter group for each learning rate and weight decay.
    """
    encoder = pretrained_encoder(segmenter) if settings.init or settings.encoder_init else None
    slow = list(encoder.parameters()) if encoder is not None else []
    in_encoder = set(slow)
    rest = [parameter for parameter in segmenter.parameters() if parameter not in in_encoder]
    rates = [(settings.encoder_rate * settings.learning_rate, slow), (settings.learning_rate, rest)]
    groups: list[dict[str, Any]] = [{"lr": rate, "params": members} for rate, members in rates if members]
    if settings.optimizer == "sgd":
        return SGD(groups, momentum=NNUNET_MOMENTUM, nesterov=True, weight_decay=settings.weight_decay)
    split: list[dict[str, Any]] = []
    for group in groups:
        split.append({**group, "params": [p for p in group["params"] if p.ndim > 1]})
        split.append({**group, "params": [p for p in group["params"] if p.ndim <= 1], "weight_decay": 0.0})
    return AdamW(split, weight_decay=settings.weight_decay, fused=True)


def rate_share(step: int, settings: TrainConfig) -> float:
    """Return the factor of the learning rate at a step: `warmup_cosine` for AdamW, `poly` for SGD."""
    if settings.optimizer == "sgd":
        return poly(step, settings.steps)
    return warmup_cosine(step, max(round(settings.warmup / settings.batch_size), 1), settings.steps)


def warmup_cosine(step: int, warmup_steps: int, total_steps: int, floor: float = 0.01) -> float:
    """Return the factor of the learning rate at a step: linear warm-up, then half a cosine down to a floor.

    Args:
        step: Zero-based number of the step.
        warmup_steps: Steps of the warm-up, at least 1.
        total_steps: Steps of the whole run.
        floor: Factor at the end.
    """
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    share = min((step - warmup_steps) / max(total_steps - warmup_steps, 1), 1.0)
    return floor + (1 - floor) * (1 + math.cos(math.pi * share)) / 2


def poly(step: int, total_steps: int) -> float:
    """Return nnU-Net's factor of the learning rate at a step: (1 - step / total_steps)^0.9, at least 0."""
    left = max(1 - step / total_steps, 0.0)
    return math.pow(left, NNUNET_POWER)
