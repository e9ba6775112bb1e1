"""Layers folded into convolutions, for inference: the same results in fewer operations."""

import copy
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from mlffm_segdiff.models.baselines.weight_standardised import WeightStandardisedConv2d

Network = TypeVar("Network", bound=nn.Module)
Fold = Callable[[nn.Module, nn.Module], dict[int, nn.Module]]


def fold_batch_norm(network: Network) -> Network:
    """Return a network whose batch normalisation is part of the convolution before it.

    Folds each BatchNorm2d that directly follows a Conv2d in a Sequential. Results differ by rounding only.

    Args:
        network: Network in evaluation mode; it is not changed.

    Returns:
        A copy with its own weights, or ``network`` itself if it has nothing to fold.
    """

    def fold(first: nn.Module, second: nn.Module) -> dict[int, nn.Module]:
        if type(first) is not nn.Conv2d or not isinstance(second, nn.BatchNorm2d):
            return {}
        if second.running_mean is None:
            return {}
        return {id(first): fuse_conv_bn_eval(first, second), id(second): nn.Identity()}

    return _fold_neighbours(network, fold)


def fold_weight_standardisation(network: Network) -> Network:
    """Return a copy of a network with plain convolutions in place of weight-standardised ones.

    Fold before a change to half precision: the standardisation is then that of the trained float32 weights.
    """
    found = {id(m): _plain(m) for m in network.modules() if isinstance(m, WeightStandardisedConv2d)}
    return copy.deepcopy(network, found)


@torch.no_grad()
def _plain(conv: WeightStandardisedConv2d) -> nn.Conv2d:
    plain = nn.Conv2d(
        conv.in_channels,
        conv.out_channels,
        conv.kernel_size,  # type: ignore[arg-type]
        conv.stride,  # type: ignore[arg-type]
        conv.padding,  # type: ignore[arg-type]
        bias=conv.bias is not None,
        device="meta",
    )
    plain.weight = nn.Parameter(conv.standardised_weight())
    plain.bias = copy.deepcopy(conv.bias)
    return plain.train(conv.training)


def fold_padding(network: Network) -> Network:
    """Return a network whose ZeroPad2d layers are part of the convolution after them.

    A CPU then needs no padded copy of the map. A convolution pads both sides equally, so where the two
    sides differ its kernel gets rows and columns of zeros. Results differ by rounding only.

    Args:
        network: It is not changed.

    Returns:
        A copy with its own weights, or ``network`` itself if it has nothing to fold.
    """

    def fold(first: nn.Module, second: nn.Module) -> dict[int, nn.Module]:
        if not isinstance(first, nn.ZeroPad2d) or type(second) is not nn.Conv2d:
            return {}
        if (second.padding, second.dilation, second.padding_mode) != ((0, 0), (1, 1), "zeros"):
            return {}
        return {id(first): nn.Identity(), id(second): _padding_convolution(first, second)}

    return _fold_neighbours(network, fold)


@torch.no_grad()
def _padding_convolution(pad: nn.ZeroPad2d, conv: nn.Conv2d) -> nn.Conv2d:
    """Return the convolution with the padding in it.

    The kernel's zeros are on the side that is padded less: there the convolution pads more than it should.
    """
    left, right, top, bottom = pad.padding
    missing = (max(right - left, 0), max(left - right, 0), max(bottom - top, 0), max(top - bottom, 0))
    weight = F.pad(conv.weight, missing)
    if conv.weight.is_contiguous(memory_format=torch.channels_last):
        weight = weight.contiguous(memory_format=torch.channels_last)
    padded = copy.deepcopy(conv)
    padded.weight = nn.Parameter(weight, conv.weight.requires_grad)
    padded.kernel_size = (weight.shape[2], weight.shape[3])
    padded.padding = (max(top, bottom), max(left, right))
    return padded


def _fold_neighbours(network: Network, fold: Fold) -> Network:
    """Copy the network with what ``fold`` puts in place of neighbours in a Sequential, by their id."""
    replaced: dict[int, nn.Module] = {}
    for first, second in _neighbours(network):
        replaced |= fold(first, second)
    return copy.deepcopy(network, dict(replaced)) if replaced else network


def _neighbours(network: nn.Module) -> Iterator[tuple[nn.Module, nn.Module]]:
    for module in network.modules():
        if isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward:
            yield from pairwise(module)
