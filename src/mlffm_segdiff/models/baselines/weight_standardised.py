"""Weight standardisation (Qiao et al. 2019, arXiv:1903.10520)."""

import copy
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)


class WeightStandardisedConv2d(nn.Conv2d):
    """A convolution whose weights have mean 0 and variance 1 for each output channel.

    w <- (w - mean w) / sqrt(var w + eps), with the variance over all n weights of the channel, divided by n.
    eps is 1e-5 for float32 weights and 1e-3 for any other type. It goes by the type of the weights, not of
    the input, so that automatic mixed precision does not change what the network computes.
    kernel: its odd size; H and W are padded by half of it.
    """

    def __init__(
        self, channels_in: int, channels_out: int, kernel: int, stride: int = 1, bias: bool = True
    ) -> None:
        super().__init__(channels_in, channels_out, kernel, stride, padding=kernel // 2, bias=bias)

    def standardised_weight(self) -> Tensor:
        """Return the weights that the convolution uses, C_out C_in kernel kernel."""
        eps = 1e-5 if self.weight.dtype == torch.float32 else 1e-3
        return F.layer_norm(self.weight, self.weight.shape[1:], eps=eps)

    def forward(self, h: Tensor) -> Tensor:
        """Map B C_in H W to B C_out H/stride W/stride, rounded up."""
        return F.conv2d(h, self.standardised_weight(), self.bias, self.stride, self.padding)

    @torch.no_grad()
    def folded(self) -> nn.Conv2d:
        """Return a plain convolution that computes the same and has weights of its own."""
        plain = nn.Conv2d(
            self.in_channels,
            self.out_channels,
            self.kernel_size,  # type: ignore[arg-type]
            self.stride,  # type: ignore[arg-type]
            self.padding,  # type: ignore[arg-type]
            bias=self.bias is not None,
            device="meta",
        )
        plain.weight = nn.Parameter(self.standardised_weight())
        plain.bias = copy.deepcopy(self.bias)
        return plain.train(self.training)


class WeightStandardisedConv3x3(WeightStandardisedConv2d):
    """A weight-standardised 3 x 3 convolution that keeps H and W."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(channels_in, channels_out, 3)


def fold_weight_standardisation(network: Network) -> Network:
    """Return a copy of a network, for inference, with the standardisation worked into the weights once.

    Weights and buffers are copied, so the network itself stays as it is. Fold before a change to half
    precision: the standardisation is then that of the trained float32 weights.
    """
    folded = {id(m): m.folded() for m in network.modules() if isinstance(m, WeightStandardisedConv2d)}
    return copy.deepcopy(network, folded)
