"""Segmenters whose network computes in bfloat16."""

import copy
from typing import Literal

import torch
from torch import Tensor, nn

from mlffm_segdiff.segmenters.base import Segmenter

Precision = Literal["float32", "bf16"]


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
