"""Features of a whole image: statistics of the feature maps that its encoder computes for the mask."""

from collections.abc import Sequence

import torch
from torch import Tensor

STRIDES = (4, 8, 16)
"""Strides of the maps that describe an image: texture and parts, not the lesion as a whole."""
MIN_DEVIATION = 1e-3
"""Added to standard deviations before the logarithm."""


def pool_features(features: Sequence[Tensor], height: int) -> Tensor | None:
    """Compute the mean and the log standard deviation of each channel over the image.

    The logarithm makes deviations nearly normal, so that a Gaussian fits them.

    Args:
        features: Output of a denoiser's ``encode``; maps are BCHW, other tensors are ignored.
        height: Image height in pixels.

    Returns:
        BxD float32, level by level; None without a map of one of the STRIDES.
    """
    maps = [one.float() for one in features if one.ndim == 4 and height / one.shape[2] in STRIDES]
    if not maps:
        return None
    pooled = []
    for level in maps:
        mean = level.mean(dim=(2, 3), keepdim=True)
        variance = (level - mean).square().mean(dim=(2, 3))  # torch.std_mean takes 25 times as long
        pooled += [mean.flatten(1), (variance.sqrt() + MIN_DEVIATION).log()]
    return torch.cat(pooled, dim=1)
