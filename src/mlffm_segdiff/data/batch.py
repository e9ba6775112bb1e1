"""Cases as tensors: one case and a batch of them."""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor
from torch.utils.data import default_collate


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
