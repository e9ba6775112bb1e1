"""The feature frequency parser (FF-Parser; Wu et al. 2022, arXiv:2211.00611)."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class FFParser(nn.Module):
    """F^-1[A * F[m]]: a learned complex weight A for each channel and frequency of a feature map.

    F is the two-dimensional Fourier transform of real maps, whose spectrum has H rows and W // 2 + 1 columns.
    A is stored for maps of ``size`` x ``size``, the only size that the authors' code knows. For any other it
    is interpolated at the same cycles a pixel: bilinearly, and around the circle of the vertical frequencies.
    A starts at 1, so a new parser changes nothing; theirs starts at small random numbers.
    """

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        attentive_map = torch.zeros(2, channels, size, size // 2 + 1)
        attentive_map[0] = 1
        self.attentive_map = nn.Parameter(attentive_map)

    def map_for(self, height: int, width: int) -> Tensor:
        """Return A for maps of this size: real and imaginary part (2 C H W//2+1)."""
        circle = torch.cat([self.attentive_map, self.attentive_map[:, :, :1]], dim=2)
        size = (height + 1, width // 2 + 1)
        return F.interpolate(circle, size=size, mode="bilinear", align_corners=True)[:, :, :-1]

    def forward(self, m: Tensor) -> Tensor:
        """Map B C H W to the same shape."""
        return filtered(m, *self.map_for(m.shape[2], m.shape[3]))


def filtered(m: Tensor, real: Tensor, imaginary: Tensor) -> Tensor:
    """Return F^-1[A * F[m]] for m (B C H W) and A = real + i imaginary (both C H W//2+1).

    Both transforms are products with matrices of waves: graphs of every format can hold these, half precision
    has them, and at the size of feature maps they cost little beside a convolution.
    """
    height, width = m.shape[2:]
    columns = width // 2 + 1
    cos_h, sin_h = waves(height, height, m)
    cos_w, sin_w = waves(width, columns, m)
    x, y = m @ cos_w, -(m @ sin_w)
    x, y = cos_h @ x + sin_h @ y, cos_h @ y - sin_h @ x
    x, y = x * real - y * imaginary, x * imaginary + y * real
    x, y = cos_h @ x - sin_h @ y, cos_h @ y + sin_h @ x
    twice = torch.full((columns,), 2.0, dtype=m.dtype, device=m.device)
    twice[0] = 1
    if width % 2 == 0:
        twice[-1] = 1
    return ((x * twice) @ cos_w.mT - (y * twice) @ sin_w.mT) / (height * width)


def waves(size: int, frequencies: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Return cosine and sine of 2 pi n k / size for pixels n and frequencies k (size x frequencies).

    They are computed in float32, and have the type and device of ``like``.
    """
    n, k = (torch.arange(count, device=like.device) for count in (size, frequencies))
    angle = (n[:, None] * k % size) * (2 * math.pi / size)
    return torch.cos(angle).to(like.dtype), torch.sin(angle).to(like.dtype)
