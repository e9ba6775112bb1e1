"""What MLFFM's adaptive weights are while masks are drawn: for each level, place and denoising step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from dataclasses import replace as replaced
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from mlffm_segdiff.models.mlffm import AdaptiveWeights
from mlffm_segdiff.models.unet_blocks import TimeEmbedding
from mlffm_segdiff.segmenters.at_source import segment_batch
from mlffm_segdiff.segmenters.base import BaseSegmenter, Sampling

Weights = npt.NDArray[np.float32]


@dataclass(frozen=True)
class FusionStep:
    """One denoising step. time: t. weights: lambda_{.->l}, B L H_l W_l, for each level l, finest first."""

    time: int
    weights: tuple[Weights, ...]


def fusion_steps(
    segmenter: BaseSegmenter, images: npt.NDArray[np.uint8], sampling: Sampling
) -> list[FusionStep]:
    """Draw one sample of each image (BxSxSx3 uint8), and return the weights of the MLFFM at each step.

    Hooks on the network's own blocks read it, so it is what the masks were made with. Empty for a network
    without an MLFFM of adaptive weights, or without time. segmenter: in evaluation mode.
    """
    weighing, timing = _only(segmenter, AdaptiveWeights), _only(segmenter, TimeEmbedding)
    if weighing is None or timing is None:
        return []
    device = next(segmenter.parameters()).device
    with _recorded(weighing) as weights, _recorded(timing) as times:
        segment_batch(segmenter, images, replaced(sampling, samples=1, mirror=False), device)
    return [
        FusionStep(int(inputs[0][0]), tuple(level.float().cpu().numpy() for level in levels))
        for (inputs, _), (_, levels) in zip(times, weights, strict=True)
    ]


def _only(segmenter: BaseSegmenter, kind: type[nn.Module]) -> nn.Module | None:
    return next((module for module in segmenter.modules() if isinstance(module, kind)), None)


@contextmanager
def _recorded(module: nn.Module) -> Iterator[list[tuple[Any, Any]]]:
    """Give a list that gets the inputs and the output of each call of the module until the block ends."""
    calls: list[tuple[Any, Any]] = []

    def keep(_: nn.Module, inputs: tuple[torch.Tensor, ...], output: Any) -> None:
        calls.append((inputs, output))

    handle = module.register_forward_hook(keep)
    try:
        yield calls
    finally:
        handle.remove()
