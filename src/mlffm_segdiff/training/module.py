"""A segmenter as Lightning trains it."""

import math
from typing import Any, Literal

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from mlffm_segdiff.data.batch import Batch
from mlffm_segdiff.metrics.overlap import Counts, count_pixels, jaccard, total
from mlffm_segdiff.models.encoders import pretrained_encoder
from mlffm_segdiff.segmenters.at_source import THRESHOLD
from mlffm_segdiff.segmenters.base import Sampling, Segmenter

NNUNET_MOMENTUM = 0.99
NNUNET_POWER = 0.9


class SegmenterModule(LightningModule):
    """Loss, optimiser and the validation that chooses the checkpoint.

    A step's random numbers depend on the seed and the step's number alone, so a resumed run draws them again.
    optimizer: sgd is nnU-Net's and knows no ``warmup_steps``. encoder_rate: the learning rate of a pretrained
    encoder as a share of ``learning_rate``.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        sampling: Sampling,
        seed: int,
        learning_rate: float,
        weight_decay: float,
        warmup_steps: int,
        total_steps: int,
        optimizer: Literal["adamw", "sgd"] = "adamw",
        encoder_rate: float = 1.0,
    ) -> None:
        super().__init__()
        self.segmenter = segmenter
        self.sampling = sampling
        self.seed = seed
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.warmup_steps = warmup_steps
        self.total_steps = total_steps
        self.optimizer = optimizer
        self.encoder_rate = encoder_rate
        self._cases: list[Counts] = []

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of a batch."""
        del batch_idx
        torch.manual_seed((self.seed << 32) + self.global_step)
        loss = self.segmenter.loss(batch)
        self.log("loss", loss, on_step=False, on_epoch=True, batch_size=len(batch.ids))
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Segment a batch by sampling and count its pixels."""
        del batch_idx
        found = self.segmenter.segment(batch.image, self.sampling).probability >= THRESHOLD
        for predicted, truth in zip(
            found[:, 0].cpu().numpy(), (batch.mask[:, 0] > 0).cpu().numpy(), strict=True
        ):
            self._cases.append(count_pixels(predicted, truth))

    def on_validation_epoch_end(self) -> None:
        """Log the pooled and the mean Jaccard index of the sampled masks."""
        self.log("val_jaccard", jaccard(total(self._cases)))
        self.log("val_jaccard_mean", sum(map(jaccard, self._cases)) / len(self._cases))
        self._cases.clear()

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the gradients' norm, as Lightning does, but for a fused optimiser under bf16 too.

        Lightning refuses that, because a fused optimiser may unscale gradients; those of bf16 are not scaled.
        """
        del gradient_clip_algorithm
        if gradient_clip_val:
            weights = [p for group in optimizer.param_groups for p in group["params"]]
            clip_grad_norm_(weights, gradient_clip_val)

    def configure_optimizers(self) -> dict[str, object]:
        """Return the optimiser, and its rate step by step: warm-up and cosine for AdamW, `poly` for SGD."""
        optimizer = self._sgd() if self.optimizer == "sgd" else self._adamw()
        schedule = LambdaLR(optimizer, self._rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _by_rate(self) -> list[tuple[float, list[nn.Parameter]]]:
        """Return the learning rates and the parameters of each: a pretrained encoder's, and the others."""
        encoder = pretrained_encoder(self.segmenter)
        slow = list(encoder.parameters()) if encoder is not None else []
        known = set(slow)
        rest = [p for p in self.segmenter.parameters() if p not in known]
        groups = [(self.encoder_rate * self.learning_rate, slow), (self.learning_rate, rest)]
        return [(rate, members) for rate, members in groups if members]

    def _adamw(self) -> Optimizer:
        """AdamW without decay on biases and norms."""
        groups: list[dict[str, Any]] = []
        for rate, members in self._by_rate():
            groups.append({"lr": rate, "params": [p for p in members if p.ndim > 1]})
            groups.append({"lr": rate, "params": [p for p in members if p.ndim <= 1], "weight_decay": 0.0})
        return AdamW(groups, weight_decay=self.weight_decay, fused=True)

    def _sgd(self) -> Optimizer:
        """nnU-Net's: Nesterov's momentum, decay on every parameter."""
        return SGD(
            [{"lr": rate, "params": members} for rate, members in self._by_rate()],
            momentum=NNUNET_MOMENTUM,
            nesterov=True,
            weight_decay=self.weight_decay,
        )

    def _rate(self, step: int) -> float:
        if self.optimizer == "sgd":
            return poly(step, self.total_steps)
        return warmup_cosine(step, self.warmup_steps, self.total_steps)


def warmup_cosine(step: int, warmup_steps: int, total_steps: int, floor: float = 0.01) -> float:
    """Return the share of the learning rate at ``step``: linear up, then half a cosine down to ``floor``."""
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    share = min((step - warmup_steps) / max(total_steps - warmup_steps, 1), 1.0)
    return floor + (1 - floor) * (1 + math.cos(math.pi * share)) / 2


def poly(step: int, total_steps: int) -> float:
    """Return the share of the learning rate at ``step``: (1 - step / total_steps)^0.9, then 0 (nnU-Net)."""
    left = max(1 - step / total_steps, 0.0)
    return math.pow(left, NNUNET_POWER)
