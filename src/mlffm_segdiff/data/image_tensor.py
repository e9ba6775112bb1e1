"""Images as tensors in the range that networks read."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor


def image_tensor(pixels: npt.NDArray[np.uint8]) -> Tensor:
    """Convert RGB pixels (... H W 3, uint8) to a tensor (... 3 H W, float32 in [0, 1])."""
    return scale_pixels(torch.from_numpy(np.array(pixels)))


def scale_pixels(pixels: Tensor) -> Tensor:
    """Convert RGB pixels (... H W 3, uint8) to ... 3 H W, float32 in [0, 1]."""
    return pixels.movedim(-1, -3).to(torch.float32).div_(255)


def normalise_image(image: Tensor) -> Tensor:
    """Map an image from [0, 1] to the networks' range [-1, 1]; values outside are clipped."""
    return image.mul(2).sub_(1).clamp_(-1, 1).contiguous()
