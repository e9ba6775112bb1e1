"""Which number format a run computes in."""

import copy
import time
from functools import partial

import torch

from mlffm_segdiff.config.schema import Recipe
from mlffm_segdiff.data.batch import Batch
from mlffm_segdiff.segmenters.base import Segmenter
from mlffm_segdiff.segmenters.precision import Clock, Precision, Work, faster_precision, has_bf16


def training_precision(
    recipe: Recipe, segmenter: Segmenter, device: torch.device, clock: Clock = time.perf_counter
) -> Precision:
    """Return the number format that a new run computes in.

    ``auto`` is the faster one, measured on steps of the run's own network and batch size (see
    ``faster_precision``). Measuring changes neither the segmenter nor torch's random numbers.

    Args:
        recipe: Its ``train.precision`` is what the user asked for.
        segmenter: The recipe's.
        device: Where the run will compute.
        clock: Seconds.
    """
    asked = recipe.train.precision
    if asked != "auto":
        return asked
    if device.type == "cuda" or not has_bf16(device):
        return "bf16" if has_bf16(device) else "float32"
    measured = copy.deepcopy(segmenter).to(device).train()
    with torch.random.fork_rng(devices=[]):
        batch = random_batch(recipe.train.batch_size, recipe.data.size, device)
        works: dict[Precision, Work] = {
            "float32": partial(_gradients, measured, batch, torch.float32),
            "bf16": partial(_gradients, measured, batch, torch.bfloat16),
        }
        return faster_precision(works, device, clock)


def random_batch(count: int, size: int, device: torch.device) -> Batch:
    """Return a batch of noise, ``count`` images of ``size`` x ``size``: the time of a step is the same."""
    image = torch.rand(count, 3, size, size, device=device) * 2 - 1
    distance = torch.randn(count, 1, size, size, device=device)
    names = [str(number) for number in range(count)]
    return Batch(image, 1 - 2 * (distance > 0).float(), distance, names, [""] * count)


def _gradients(segmenter: Segmenter, batch: Batch, dtype: torch.dtype) -> None:
    with torch.autocast(batch.image.device.type, torch.bfloat16, dtype == torch.bfloat16):
        loss = segmenter.loss(batch)
    loss.backward()  # type: ignore[no-untyped-call]
    segmenter.zero_grad()
