"""The interaction of the two paths."""

import torch
from torch import Tensor, nn


class GatedInjection(nn.Module):
    """h <- h * sigmoid(Conv1x1[h, k]) + v with [k, v] = Conv1x1(I) (docs/METHOD.md).

    ``project`` sees the image alone, so its result is computed once per image; ``forward`` is what each
    denoising step pays for.
    """

    def __init__(self, image_channels: int, mask_channels: int) -> None:
        super().__init__()
        self.key_value = nn.Conv2d(image_channels, 2 * mask_channels, 1)
        self.gate_mask = nn.Conv2d(mask_channels, mask_channels, 1)
        self.gate_key = nn.Conv2d(mask_channels, mask_channels, 1, bias=False)

    def project(self, image_features: Tensor) -> Tensor:
        """Map image features (B C_image H W) to [W_k k, v] (B 2*C_mask H W).

        Conv1x1[h, k] is W_h h + W_k k, and W_k k needs no h.
        """
        key, value = self.key_value(image_features).chunk(2, dim=1)
        return torch.cat([self.gate_key(key), value], dim=1)

    def forward(self, h: Tensor, projected: Tensor) -> Tensor:
        """Gate the mask path's h (B C_mask H W) by both paths and add the image's value."""
        key, value = projected.chunk(2, dim=1)
        return torch.addcmul(value, h, torch.sigmoid(self.gate_mask(h) + key))
