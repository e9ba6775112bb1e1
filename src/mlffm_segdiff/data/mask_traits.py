"""Traits of the masks of a whole data set: whether they are all empty, all full, or perhaps inverted."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

NEARLY_ALL = 0.9
"""Share of the masks from which they count as inverted."""


@dataclass(frozen=True)
class MaskTraits:
    """Traits of one mask.

    Attributes:
        empty: No pixel is lesion.
        full: Every pixel is lesion.
        corners: All four corners are lesion.
    """

    empty: bool
    full: bool
    corners: bool

    @classmethod
    def of(cls, mask: npt.NDArray[np.generic]) -> "MaskTraits":
        """Return the traits of a mask, HxW, in which lesion is not 0."""
        return cls(not mask.any(), bool(mask.all()), bool(mask[[0, 0, -1, -1], [0, -1, 0, -1]].all()))


def all_empty(traits: Sequence[MaskTraits]) -> bool:
    """Return whether there are masks and all are empty."""
    return bool(traits) and all(one.empty for one in traits)


def all_full(traits: Sequence[MaskTraits]) -> bool:
    """Return whether there are masks and all are full."""
    return bool(traits) and all(one.full for one in traits)


def perhaps_inverted(traits: Sequence[MaskTraits]) -> bool:
    """Return whether the lesion covers all four corners in nearly all of at least two masks.

    Empty and full masks do not count. A lesion may fill an image, but not nearly every one.
    """
    partial = [one.corners for one in traits if not (one.empty or one.full)]
    return len(partial) > 1 and sum(partial) >= NEARLY_ALL * len(partial)
