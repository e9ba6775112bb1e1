"""Post-processing of masks: specks, the largest component, holes."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import label

Mask = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.integer]

FOUR = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]])
EIGHT = np.ones((3, 3), int)
SPECKS_PER_LESION = 1000
BAND = 512


@dataclass(frozen=True)
class PostProcessing:
    """What is done to a mask after thresholding, in this order.

    Attributes:
        fill_holes: Fill holes: background that does not reach the image's border, by 4-connectivity.
        keep_specks: Keep 8-connected components smaller than 0.1 % of the lesion's area, that is, of all
            foreground. By default they are removed.
        largest: Keep only the largest 8-connected component; of equal ones the first from the top.
    """

    keep_specks: bool = False
    largest: bool = False
    fill_holes: bool = False


DEFAULT = PostProcessing()


def post_process(mask: Mask, steps: PostProcessing) -> Mask:
    """Return a mask with holes filled and components removed as asked for; idempotent.

    Holes are filled first, so that a component in a hole becomes part of its surroundings and a second pass
    changes nothing. Labels take 1 or 4 bytes a pixel, and no other array more than 1.

    Args:
        mask: HxW bool; not changed.
        steps: What to do.

    Returns:
        HxW bool; the mask itself where there is nothing to do.
    """
    if not mask.any():
        return mask
    if steps.fill_holes:
        labels, _ = label_components(np.pad(~mask, 1, constant_values=True), FOUR)
        mask = labels[1:-1, 1:-1] != labels[0, 0]
    if steps.largest or not steps.keep_specks:
        mask = _without_components(mask, steps.largest)
    return mask


def label_components(mask: Mask, structure: npt.NDArray[np.number]) -> tuple[Labels, int]:
    """Return a mask's (HxW bool) components by number, from 1 on in reading order, and their count.

    The numbers are HxW uint8 where they fit, which takes a quarter of the memory of int32.
    """
    small: Any = np.empty(mask.shape, np.uint8)  # which scipy fills, though its types say otherwise
    try:
        return small, int(label(mask, structure, output=small))
    except RuntimeError:  # more components than a byte can number
        del small
        labels, count = label(mask, structure)
        return labels, int(count)


def _without_components(mask: Mask, largest: bool) -> Mask:
    labels, count = label_components(mask, EIGHT)
    if count < 2:
        return mask
    areas = np.zeros(count + 1, np.int64)
    for top in range(0, len(labels), BAND):  # bincount copies to 64 bits
        areas += np.bincount(labels[top : top + BAND].ravel(), minlength=count + 1)
    areas[0] = 0
    if largest:
        found: Mask = labels == areas.argmax()
        return found
    kept = areas * SPECKS_PER_LESION >= areas.sum()
    kept[0] = False
    if kept[1:].all():
        return mask
    found = np.empty_like(mask)
    for top in range(0, len(labels), BAND):  # as does indexing
        rows = slice(top, top + BAND)
        found[rows] = kept[labels[rows]]
    return found
