"""Number formats: segmenters whose network computes in bfloat16, and the choice between the formats."""

import copy
import time
from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from mlffm_segdiff.segmenters.base import Segmenter

Precision = Literal["float32", "bf16"]
PrecisionChoice = Literal["auto", "float32", "bf16"]

Work = Callable[[], object]
Clock = Callable[[], float]

BF16_SHARE = 0.9
"""bf16 is chosen if it takes at most this share of float32's time, that is, if it is at least 10 % faster."""
TURNS = 5
MOST_SECONDS = 1.0


class BFloat16Graph(nn.Module):
    """A graph in bfloat16: its weights, what it gives, and, cast at its door, what it gets."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module.to(torch.bfloat16)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Run the module; integers stay as they are."""
        cast = (x.to(torch.bfloat16) if x.is_floating_point() else x for x in inputs)
        return tuple(self.module(*cast))


def in_bfloat16(segmenter: Segmenter, image: Tensor) -> Segmenter:
    """Return a copy whose network computes in bfloat16, all else in float32. image: an example, B3HW."""
    changed = copy.deepcopy(segmenter)
    changed.run_on({name: BFloat16Graph(part.module) for name, part in changed.parts(image).items()})
    return changed


def has_bf16(device: torch.device) -> bool:
    """Return whether a device multiplies bf16 itself: a GPU with it, or a processor with AVX512-BF16 or AMX.

    Elsewhere bf16 is emulated, up to a hundred times slower than float32. Also on a processor that has it,
    bf16 can be slower than float32; see ``faster_precision``.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def faster_precision(
    works: Mapping[Precision, Work], device: torch.device, clock: Clock = time.perf_counter
) -> Precision:
    """Choose the number format in which a piece of work runs faster on a device.

    On a GPU with bf16 that is bf16, and float32 where bf16 would be emulated; both without measuring. On
    other processors each work runs once to warm up. Then they take turns, TURNS times or until MOST_SECONDS
    are over, and their shortest times are compared: bf16 is chosen if it is at least 10 % faster.

    Args:
        works: The same work in float32 and in bf16.
        device: Where they run.
        clock: Seconds.
    """
    if not has_bf16(device):
        return "float32"
    if device.type == "cuda":
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
        if clock() - begin > MOST_SECONDS:
            break
    return "bf16" if shortest["bf16"] <= BF16_SHARE * shortest["float32"] else "float32"
