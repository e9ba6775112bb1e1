"""Weight standardisation (Qiao et al. 2019, arXiv:1903.10520)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class WeightStandardisedConv2d(nn.Conv2d):
    """A convolution whose weights have mean 0 and variance 1 for each output channel.

    w <- (w - mean w) / sqrt(var w + eps), with the variance over all n weights of the channel, divided by n.
    eps is 1e-5 for float32 weights and 1e-3 for any other dtype. It depends on the dtype of the weights, not
    of the input, so that automatic mixed precision does not change the results.

    Args:
        channels_in: Channels of the input.
        channels_out: Channels of the output.
        kernel: Odd size of the kernel; H and W are padded by half of it.
        stride: Stride.
        bias: Whether to add a bias.
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
