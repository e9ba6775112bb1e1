"""What the training loop is fed: one case, and many of them stacked."""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor
from torch.utils.data import default_collate


class Pair(NamedTuple):
    """One case.

    image: 3HW float32 in [-1, 1]. mask: 1HW float32, +1 lesion and -1 skin. distance: 1HW float32,
    `signed_distance` of the mask in pixels, negative inside the lesion. id: the case's name. style: the
    convention by which it was outlined, the name of its data set; empty where unknown.
    """

    image: Tensor
    mask: Tensor
    distance: Tensor
    id: str
    style: str = ""


class Batch(NamedTuple):
    """Cases stacked: image B3HW, mask B1HW, distance B1HW, ranges and units as in `Pair`; B ids, B styles."""

    image: Tensor
    mask: Tensor
    distance: Tensor
    ids: list[str]
    styles: Sequence[str] = ()


def collate(pairs: Sequence[Pair]) -> Batch:
    """Stack cases of one size; inside a loader's worker straight into shared memory.

    Raises RuntimeError where the sizes differ.
    """
    return Batch(
        default_collate([pair.image for pair in pairs]),
        default_collate([pair.mask for pair in pairs]),
        default_collate([pair.distance for pair in pairs]),
        [pair.id for pair in pairs],
        [pair.style for pair in pairs],
    )
