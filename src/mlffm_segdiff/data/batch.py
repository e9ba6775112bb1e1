"""Cases as tensors: one case, a batch of them, and the range of images."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import default_collate


def image_tensor(pixels: NDArray[np.uint8]) -> Tensor:
    """Convert images, ...HxWx3 uint8, to a new tensor, ...3HW float32 in [0, 1]."""
    return torch.from_numpy(np.array(pixels)).movedim(-1, -3).div(255)


def signed_range(image: Tensor) -> Tensor:
    """Map images from [0, 1] to the networks' range [-1, 1]."""
    return image.mul(2).sub(1)


class Pair(NamedTuple):
    """One case.

    Attributes:
        image: 3HW float32 in [-1, 1].
        mask: 1HW float32, +1 lesion and -1 skin.
        distance: 1HW float32, `signed_distance` of the mask in pixels, negative inside the lesion.
        id: Id of the case.
        style: Annotation style, the name of its data set; empty if unknown.
    """

    image: Tensor
    mask: Tensor
    distance: Tensor
    id: str
    style: str = ""


class Batch(NamedTuple):
    """A batch of cases: image B3HW, mask B1HW, distance B1HW as in `Pair`, B ids and B styles."""

    image: Tensor
    mask: Tensor
    distance: Tensor
    ids: list[str]
    styles: Sequence[str] = ()


def collate(pairs: Sequence[Pair]) -> Batch:
    """Stack cases of one size; in a loader's worker directly in shared memory.

    Raises:
        RuntimeError: If the sizes differ.
    """
    return Batch(
        default_collate([pair.image for pair in pairs]),
        default_collate([pair.mask for pair in pairs]),
        default_collate([pair.distance for pair in pairs]),
        [pair.id for pair in pairs],
        [pair.style for pair in pairs],
    )
