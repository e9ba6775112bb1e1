"""Convolutions with weights in oneDNN's layout, for inference on a CPU.

torch.nn.Conv2d changes the layout of its weights in each call, and runs small inputs by a slower routine.
"""

import copy
import platform
from collections.abc import Callable
from itertools import pairwise
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import conv_flop_count

Network = TypeVar("Network", bound=nn.Module)
RELU6 = ("hardtanh", [0.0, 6.0])
NO_ACTIVATION: tuple[str, list[float]] = ("none", [])


class PackedConvolution(nn.Module):
    """A convolution, with or without ReLU6 after it, as one oneDNN operation without gradients.

    Args:
        conv: The convolution; its weights are copied.
        size: B C H W of the input that the layout is optimised for; other sizes work too.
        relu6: Whether to apply ReLU6 to the result.
    """

    def __init__(self, conv: nn.Conv2d, size: tuple[int, ...], relu6: bool) -> None:
        super().__init__()
        self.bias = conv.bias
        self.settings = (list(conv.padding), list(conv.stride), list(conv.dilation), conv.groups)
        self.activation = RELU6 if relu6 else NO_ACTIVATION
        weight = conv.weight.detach()
        self.weight = torch.ops.mkldnn._reorder_convolution_weight(weight, *self.settings, list(size))

    def forward(self, h: Tensor) -> Tensor:
        """Map B C_in H W to the convolution's output."""
        name, limits = self.activation
        out: Tensor = torch.ops.mkldnn._convolution_pointwise(
            h, self.weight, self.bias, *self.settings, name, limits, ""
        )
        return out


def pack_convolutions(network: Network, run: Callable[[], object]) -> Network:
    """Pack a network's convolutions, each with the ReLU6 that follows it in a Sequential.

    The results differ by rounding only. Convolutions that ``run`` does not reach are not packed.

    Args:
        network: Network in evaluation mode and on the CPU; it is not changed.
        run: Runs the network on an example, from which each convolution's input size is taken.

    Returns:
        A copy, or ``network`` itself if it has nothing to pack or this machine cannot pack.
    """
    if not can_pack():
        return network
    sizes = _input_sizes(network, run)
    before_relu6 = dict(_before_relu6(network))
    replaced: dict[int, nn.Module] = {}
    for conv, size in sizes.items():
        relu6 = before_relu6.get(conv)
        replaced[id(conv)] = PackedConvolution(conv, size, relu6 is not None)
        if relu6 is not None:
            replaced[id(relu6)] = nn.Identity()
    return copy.deepcopy(network, dict(replaced)) if replaced else network


def can_pack() -> bool:
    """Return whether this torch and CPU have the operations, which are used on x86 only."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    there = hasattr(torch.ops.mkldnn, "_convolution_pointwise")
    return there and platform.machine() in ("x86_64", "AMD64")


def packed_flops() -> dict[Any, Callable[..., int]]:
    """Return the ``custom_mapping`` by which FlopCounterMode counts packed convolutions."""
    return {torch.ops.mkldnn._convolution_pointwise: _count} if can_pack() else {}


def _count(input_shape: Any, weight_shape: Any, *_: Any, out_shape: Any = None, **__: Any) -> int:
    return conv_flop_count(input_shape, weight_shape, out_shape)


def _input_sizes(network: nn.Module, run: Callable[[], object]) -> dict[nn.Conv2d, tuple[int, ...]]:
    """Record the input size of each convolution that can be packed while ``run`` runs."""
    sizes: dict[nn.Conv2d, tuple[int, ...]] = {}

    def record(conv: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(conv, nn.Conv2d)
        sizes[conv] = tuple(inputs[0].shape)

    found = [module for module in network.modules() if type(module) is nn.Conv2d and _suits(module)]
    hooks = [conv.register_forward_pre_hook(record) for conv in found]
    run()
    for hook in hooks:
        hook.remove()
    return sizes


def _suits(conv: nn.Conv2d) -> bool:
    bf16 = conv.weight.dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    known = conv.weight.dtype == torch.float32 or bf16
    return known and conv.padding_mode == "zeros" and not isinstance(conv.padding, str)


def _before_relu6(network: nn.Module) -> list[tuple[nn.Module, nn.Module]]:
    """Find modules of Sequentials that ReLU6 follows, and that ReLU6; identities in between are skipped."""
    pairs = []
    for module in network.modules():
        if isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward:
            layers = [layer for layer in module if not isinstance(layer, nn.Identity)]
            pairs += [pair for pair in pairwise(layers) if type(pair[1]) is nn.ReLU6]
    return pairs
