"""Operations on masks (HxW bool) that save memory, since an image may have 200 megapixels."""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import label

from mlffm_segdiff.metrics.overlap import Mask

Labels = npt.NDArray[np.integer]

FOUR = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]])
EIGHT = np.ones((3, 3), int)
SUBSAMPLED_SIDE = 1024


def lesion_box(mask: Mask) -> tuple[slice, slice]:
    """Return the rows and columns from the first to the last with a pixel of the mask.

    Empty slices if the mask is empty.
    """
    return _extent(mask, 0), _extent(mask, 1)


def run_lengths(values: Mask) -> list[int]:
    """Return the lengths of the alternating runs of False and True of a flat mask (N); the first may be 0."""
    changes = np.flatnonzero(values[1:] != values[:-1]) + 1
    begin = [0, 0] if values[0] else [0]
    runs: list[int] = np.diff([*begin, *changes.tolist(), values.size]).tolist()
    return runs


def label_components(mask: Mask, structure: npt.NDArray[np.number]) -> tuple[Labels, int]:
    """Label the connected components of a mask.

    Args:
        mask: HxW bool.
        structure: 3x3 neighbourhood, `FOUR` or `EIGHT`.

    Returns:
        Labels from 1 in reading order (HxW; uint8 if they fit, a quarter of the memory of int32), and their
        count.
    """
    small: Any = np.empty(mask.shape, np.uint8)  # scipy fills it, although its type hints do not allow it
    try:
        return small, int(label(mask, structure, output=small))
    except RuntimeError:  # more components than fit into a byte
        del small
        labels, count = label(mask, structure)
        return labels, int(count)


def nearest_mask(mask: Mask, height: int, width: int) -> Mask:
    """Resize a mask: each pixel takes the value under its centre (nearest neighbour).

    Args:
        mask: HxW bool.
        height: New height in pixels.
        width: New width in pixels.
    """
    rows, columns = (
        (2 * np.arange(new) + 1) * old // (2 * new)
        for new, old in zip((height, width), mask.shape, strict=True)
    )
    found: Mask = mask[rows[:, None], columns]
    return found


def subsample(mask: Mask) -> Mask:
    """Return every k-th row and column, for the smallest k that leaves no side above SUBSAMPLED_SIDE.

    It is a view: nothing is copied. Measures without a unit keep their value.
    """
    step = max(1, -(-max(mask.shape) // SUBSAMPLED_SIDE))
    rows, columns = (min(step // 2, (side - 1) // 2) for side in mask.shape)
    return mask[rows::step, columns::step]


def _extent(mask: Mask, axis: int) -> slice:
    places = np.flatnonzero(mask.any(axis=1 - axis))
    return slice(int(places[0]), int(places[-1]) + 1) if places.size else slice(0, 0)
