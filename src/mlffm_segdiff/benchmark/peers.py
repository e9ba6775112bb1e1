"""The networks that ours is measured against, with fresh weights: these do not change how long they take."""

import torch
from torch import nn

from mlffm_segdiff.benchmark.timing import Clock, Work
from mlffm_segdiff.models.baselines.dermosegdiff import DermoSegDiff
from mlffm_segdiff.models.baselines.swin_unetr import SwinUNETR
from mlffm_segdiff.segmenters.folding import fold_weight_standardisation

SWIN_FEATURES = 24
DERMOSEGDIFF = (128, 64, (1, 2, 3, 4, 5, 6), (1, 2, 4, 8, 16, 32))
PUBLISHED_STEPS = 250
FORMATS = (torch.contiguous_format, torch.channels_last)


def swin_unetr_24(dtype: torch.dtype, device: torch.device) -> nn.Module:
    """Return MONAI's SwinUNETR of feature size 24, ready to segment."""
    network: nn.Module = SwinUNETR(SWIN_FEATURES).eval().to(device, dtype)
    return network


def published_dermosegdiff(dtype: torch.dtype, device: torch.device) -> DermoSegDiff:
    """Return DermoSegDiff as in its authors' recipe, weight standardisation folded, ready to sample."""
    return fold_weight_standardisation(DermoSegDiff(*DERMOSEGDIFF).eval()).to(device, dtype)


def settle_format(network: nn.Module, work: Work, clock: Clock) -> None:
    """Leave the network's weights in the memory format that ``work``, which calls it, runs faster in."""
    seconds = {memory_format: _seconds(network, memory_format, work, clock) for memory_format in FORMATS}
    _set_format(network, min(FORMATS, key=lambda memory_format: seconds[memory_format]))


def _seconds(network: nn.Module, memory_format: torch.memory_format, work: Work, clock: Clock) -> float:
    _set_format(network, memory_format)
    work()
    begin = clock()
    work()
    return clock() - begin


def _set_format(network: nn.Module, memory_format: torch.memory_format) -> None:
    network.to(memory_format=memory_format)  # type: ignore[call-overload]
