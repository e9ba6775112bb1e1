"""Cases as tensors: one case and a batch of them."""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor
from torch.utils.data import default_collate


class Replica(NamedTuple):
    """One of the processes that train a network together, each on its own images of every batch.

    Attributes:
        number: Number of the process, from 0.
        world_size: Number of processes.
    """

    number: int = 0
    world_size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether it is the process that writes files and prints."""
        return self.number == 0

    def of(self, rows: Tensor) -> Tensor:
        """Return the rows of this process of those of a whole batch: in turn, from its number on."""
        return rows[self.number :: self.world_size]


ONLY = Replica()
"""The process of a training on one device."""


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
    """A batch of cases: image B3HW, mask B1HW, distance B1HW as in `Pair`, B ids and B styles.

    If several processes train together, it has the images of its ``replica``.
    """

    image: Tensor
    mask: Tensor
    distance: Tensor
    ids: list[str]
    styles: Sequence[str] = ()
    replica: Replica = ONLY


def collate(pairs: Sequence[Pair], replica: Replica = ONLY) -> Batch:
    """Stack cases of one size; in a loader's worker directly in shared memory.

    Args:
        pairs: Cases of one size, B of them.
        replica: Process that the cases belong to.

    Returns:
        Batch of the cases, in their order.

    Raises:
        RuntimeError: If the sizes differ.
    """
    return Batch(
        default_collate([pair.image for pair in pairs]),
        default_collate([pair.mask for pair in pairs]),
        default_collate([pair.distance for pair in pairs]),
        [pair.id for pair in pairs],
        [pair.style for pair in pairs],
        replica,
    )
