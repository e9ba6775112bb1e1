"""The whole of model, diffusion and loss can learn: by memorising four cases."""

from collections.abc import Callable

import pytest
import torch

from mlffm_segdiff.config.schema import SamplingConfig
from mlffm_segdiff.data.batch import Batch
from mlffm_segdiff.segmenters.base import BaseSegmenter

Make = Callable[..., BaseSegmenter]


def learn(segmenter: BaseSegmenter, batch: Batch, steps: int) -> None:
    optimizer = torch.optim.AdamW(segmenter.parameters(), weight_decay=0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=steps)
    for _ in range(steps):
        optimizer.zero_grad()
        segmenter.loss(batch).backward()
        torch.nn.utils.clip_grad_norm_(segmenter.parameters(), 1)
        optimizer.step()
        schedule.step()
    segmenter.eval()


def mean_dice(segmenter: BaseSegmenter, batch: Batch, sampling: SamplingConfig) -> float:
    found = segmenter.segment(batch.image, sampling).probability >= 0.5
    truth = batch.mask > 0
    dice = 2 * (found & truth).sum((1, 2, 3)) / (found.sum((1, 2, 3)) + truth.sum((1, 2, 3)))
    return float(dice.mean())


@pytest.mark.parametrize(
    "sections",
    [{}, {"model": {"name": "unet", "widths": [8, 16, 32, 32], "residual_units": 1}}],
    ids=["mlffm_segdiff", "unet"],
)
def test_four_cases_are_learnt_by_heart(
    sections: dict[str, dict[str, object]], fresh: Make, batch: Batch
) -> None:
    segmenter = fresh(**sections)
    assert mean_dice(segmenter, batch, SamplingConfig()) < 0.7
    learn(segmenter, batch, 160)
    for sampling in (
        SamplingConfig(),
        SamplingConfig(samples=1, steps=1),
        SamplingConfig(samples=1, steps=4),
        SamplingConfig(samples=1, steps=10),
        SamplingConfig(samples=2, steps=4, seed=1, sampler="ddpm"),
        SamplingConfig(samples=1, steps=4, seed=0, sampler="dpm"),
    ):
        assert mean_dice(segmenter, batch, sampling) >= 0.99
