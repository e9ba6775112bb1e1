"""Post-processing of masks: specks, the largest component, holes."""

from dataclasses import dataclass

import numpy as np

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.inference.masks import EIGHT, FOUR, label_components
from mlffm_segdiff.metrics.overlap import Mask

SPECKS_PER_LESION = 1000
BAND = 512


def truth_value(name: str, value: object) -> bool:
    """Return an option that is True or False, NumPy's too, as a bool. Raises UserError for another value."""
    if not isinstance(value, bool | np.bool_):
        raise UserError(f"{name} {value!r} is neither True nor False; give one without quotes")
    return bool(value)


@dataclass(frozen=True)
class PostProcessing:
    """Steps on a mask after thresholding, in this order.

    Attributes:
        fill_holes: Fill holes: background that does not reach the image's border, by 4-connectivity.
        keep_specks: Keep 8-connected components smaller than 0.1 % of the lesion's area, that is, of all
            foreground. By default they are removed.
        largest: Keep only the largest 8-connected component; of equal ones the first from the top.
    """

    keep_specks: bool = False
    largest: bool = False
    fill_holes: bool = False

    def __post_init__(self) -> None:
        """Raise UserError for what is neither True nor False."""
        for step in ("keep_specks", "largest", "fill_holes"):
            object.__setattr__(self, step, truth_value(step, getattr(self, step)))


DEFAULT = PostProcessing()
AS_THRESHOLDED = PostProcessing(keep_specks=True)


def post_process(mask: Mask, steps: PostProcessing) -> Mask:
    """Fill the holes and remove the components of a mask; doing it twice changes nothing.

    Holes are filled first, so that a component in a hole becomes part of its surroundings. Labels take 1 or 4
    bytes per pixel, and no other array more than 1.

    Args:
        mask: HxW bool; not changed.
        steps: Steps to apply.

    Returns:
        HxW bool; the mask itself if there is nothing to do.
    """
    if not mask.any():
        return mask
    if steps.fill_holes:
        labels, _ = label_components(np.pad(~mask, 1, constant_values=True), FOUR)
        mask = labels[1:-1, 1:-1] != labels[0, 0]
    if steps.largest or not steps.keep_specks:
        mask = _without_components(mask, steps.largest)
    return mask


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
