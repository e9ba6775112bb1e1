"""Records MLFFM's adaptive weights while masks are drawn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from mlffm_segdiff.config.schema import SamplingConfig
from mlffm_segdiff.models.mlffm import AdaptiveWeights
from mlffm_segdiff.models.unet_blocks import TimeEmbedding
from mlffm_segdiff.segmenters.base import BaseSegmenter, segment_batch

Weights = npt.NDArray[np.float32]


@dataclass(frozen=True)
class FusionStep:
    """One denoising step: timestep t, and the weights lambda_{.->l} (B L H_l W_l) of each level l."""

    time: int
    weights: tuple[Weights, ...]


def fusion_steps(
    segmenter: BaseSegmenter, images: npt.NDArray[np.uint8], sampling: SamplingConfig
) -> list[FusionStep]:
    """Draw one sample of each image, and record the weights of the MLFFM at each denoising step.

    Hooks on the network's blocks read the weights, so they are those that made the masks.

    Args:
        segmenter: The segmenter in evaluation mode.
        images: BxSxSx3 uint8.
        sampling: Sampling settings.

    Returns:
        The steps, empty for a network without an MLFFM with adaptive weights or without timesteps.
    """
    weighing, timing = _only(segmenter, AdaptiveWeights), _only(segmenter, TimeEmbedding)
    if weighing is None or timing is None:
        return []
    device = next(segmenter.parameters()).device
    with _recorded(weighing) as weights, _recorded(timing) as times:
        segment_batch(segmenter, images, sampling.model_copy(update={"samples": 1, "mirror": False}), device)
    return [
        FusionStep(int(inputs[0][0]), tuple(level.float().cpu().numpy() for level in levels))
        for (inputs, _), (_, levels) in zip(times, weights, strict=True)
    ]


def _only(segmenter: BaseSegmenter, kind: type[nn.Module]) -> nn.Module | None:
    return next((module for module in segmenter.modules() if isinstance(module, kind)), None)


@contextmanager
def _recorded(module: nn.Module) -> Iterator[list[tuple[Any, Any]]]:
    """Yield a list that collects the inputs and the output of each call of the module."""
    calls: list[tuple[Any, Any]] = []

    def keep(_: nn.Module, inputs: tuple[torch.Tensor, ...], output: Any) -> None:
        calls.append((inputs, output))

    handle = module.register_forward_hook(keep)
    try:
        yield calls
    finally:
        handle.remove()
