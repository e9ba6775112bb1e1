"""Number formats: networks that compute in bfloat16, and the choice between the formats."""

import copy
import time
from collections.abc import Callable, Mapping
from functools import cache, partial

import torch
from torch import Tensor, nn

from mlffm_segdiff.config.schema import Precision as Precision
from mlffm_segdiff.config.schema import Recipe
from mlffm_segdiff.data.batch import Batch
from mlffm_segdiff.segmenters.base import BaseSegmenter
from mlffm_segdiff.segmenters.cpu import this_cpu

Work = Callable[[], object]
Clock = Callable[[], float]

BF16_SHARE = 0.9
"""bf16 is chosen if it takes at most this share of float32's time."""
TURNS = 5
"""Maximum number of repetitions of a measurement."""
MAX_SECONDS = 1.0
"""Time after which a measurement ends, in seconds."""


class BFloat16Graph(nn.Module):
    """A graph with weights and outputs in bfloat16; its floating-point inputs are cast."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module.to(torch.bfloat16)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Run the module; integer inputs are not cast."""
        cast = (x.to(torch.bfloat16) if x.is_floating_point() else x for x in inputs)
        return tuple(self.module(*cast))


def in_bfloat16(segmenter: BaseSegmenter, image: Tensor) -> BaseSegmenter:
    """Copy a segmenter so that its network computes in bfloat16, and everything else in float32.

    Args:
        segmenter: Segmenter in evaluation mode; it is not changed.
        image: Example, B3HW.
    """
    changed = copy.deepcopy(segmenter)
    changed.run_on({name: BFloat16Graph(part.module) for name, part in changed.parts(image).items()})
    return changed


def has_bf16(device: torch.device) -> bool:
    """Return whether a device multiplies bf16 natively: some GPUs, and CPUs with AVX512-BF16 or AMX.

    Otherwise bf16 is emulated, up to a hundred times slower than float32. bf16 can be slower than float32
    even on a CPU that has it; see `faster_precision`. Apple's GPUs (mps) have it in some generations only,
    which torch does not tell apart, so they count as without it.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "xpu":
        return bool(torch.xpu.is_bf16_supported())
    return device.type == "cpu" and this_cpu().multiplies_bf16


def faster_precision(
    works: Mapping[Precision, Work], device: torch.device, clock: Clock = time.perf_counter
) -> Precision:
    """Choose the number format in which a piece of work runs faster on a device.

    Without measuring, this is bf16 on a GPU that has it, and float32 where bf16 would be emulated. On a CPU
    each work runs once to warm up. Then they take turns, TURNS times or until MAX_SECONDS have passed, and
    bf16 is chosen if its shortest time is at least 10 % below that of float32.

    Args:
        works: The same work in float32 and in bf16.
        device: Device that they run on.
        clock: Returns the time in seconds.
    """
    if not has_bf16(device):
        return "float32"
    if device.type != "cpu":
        return "bf16"
    for work in works.values():
        work()
    shortest = dict.fromkeys(works, float("inf"))
    begin = clock()
    for _ in range(TURNS):
        for name, work in works.items():
            before = clock()
            work()
            shortest[name] = min(shortest[name], clock() - before)
        if clock() - begin > MAX_SECONDS:
            break
    return "bf16" if shortest["bf16"] <= BF16_SHARE * shortest["float32"] else "float32"


def training_precision(
    recipe: Recipe, segmenter: BaseSegmenter, device: torch.device, clock: Clock = time.perf_counter
) -> Precision:
    """Choose the number format of a new run; ``auto`` is the faster one, see `faster_precision`.

    It is measured on training steps of the run's own network and batch size. Measuring changes neither the
    segmenter nor torch's random numbers. In several processes it could differ from one to the next, so these
    compute in float32 on CPUs, and on GPUs as if there were one.

    Args:
        recipe: Recipe of the run; its ``train.precision`` is the user's choice.
        segmenter: Segmenter of the recipe.
        device: Device that the run will compute on.
        clock: Returns the time in seconds.
    """
    if recipe.train.precision != "auto":
        return recipe.train.precision
    if recipe.train.processes > 1 and device.type == "cpu":
        return "float32"

    @cache
    def example() -> tuple[BaseSegmenter, Batch]:
        batch = random_batch(recipe.train.batch_size, recipe.data.size, device)
        return copy.deepcopy(segmenter).to(device).train(), batch

    def step(dtype: torch.dtype) -> None:
        training_step(*example(), dtype)

    with torch.random.fork_rng(devices=[]):
        works: dict[Precision, Work] = {
            "float32": partial(step, torch.float32),
            "bf16": partial(step, torch.bfloat16),
        }
        return faster_precision(works, device, clock)


def random_batch(count: int, size: int, device: torch.device) -> Batch:
    """Make a training batch of noise: ``count`` images of ``size`` x ``size`` pixels."""
    image = torch.rand(count, 3, size, size, device=device) * 2 - 1
    distance = torch.randn(count, 1, size, size, device=device)
    names = [str(number) for number in range(count)]
    return Batch(image, 1 - 2 * (distance > 0).float(), distance, names, [""] * count)


def training_step(segmenter: BaseSegmenter, batch: Batch, dtype: torch.dtype) -> None:
    """Compute a loss in float32 or bfloat16 and its gradients, without an update."""
    with torch.autocast(batch.image.device.type, torch.bfloat16, dtype == torch.bfloat16):
        loss = segmenter.loss(batch)
    loss.backward()  # type: ignore[no-untyped-call]
    segmenter.zero_grad()
