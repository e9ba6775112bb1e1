"""Understand the values of a mask file, or refuse them: the one guard of everything that reads masks."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.gray_levels import white_of

Values = npt.NDArray[Any]

BLACK, WHITE = 0.1, 0.9
"""Shares of the range up to which a value is black, and from which it is white."""
MAX_LABELS = 16
"""Maximum number of values of a mask whose values may be labels."""
MAX_LABELS_AT_ENDS = 4
"""Maximum number of values of a mask where a value that is nearly black or white may be a label."""
MUCH = 0.05
"""Share of grey pixels, without their rim, above which an image is not a mask."""
_AT_ONCE = 2**20
_BLOCK = np.ones((3, 3), bool)
MASK_FIX = "save one class as 0 and 255, or 0 and 1"


class NotAMaskError(UserError):
    """An image whose values do not say which pixels are lesion."""


@dataclass(frozen=True)
class MaskPixels:
    """A decoded mask.

    Attributes:
        lesion: HxW bool.
        levels: Number of different values in the file; with more than 2 it was cut at half the range.
    """

    lesion: npt.NDArray[np.bool_]
    levels: int

    @property
    def soft(self) -> bool:
        """Whether the mask has grey values, as JPEG and resizing make them."""
        return self.levels > 2


def mask_pixels(values: Values, name: str, probability: bool = False) -> MaskPixels:
    """Convert the grey values of a mask to bool.

    Where there are two values and one is 0, the other is lesion, so 0/1, 0/255, 16-bit masks and a dark
    colour on black give the same; a mask of only ones is all lesion. Otherwise values from half the range
    on are lesion, if few pixels are grey, such as the edges of JPEG and of resized masks.

    Args:
        values: HxW, whole numbers or fractions.
        name: Name of the file in errors.
        probability: Accept a map of probabilities, in which any number of pixels is grey: of fractions from 0
            to 1, or of whole numbers with over `MAX_LABELS` values. White is then that of the file's type,
            even if no probability comes near to it.

    Raises:
        NotAMaskError: If the values are labels of several classes, all on one side of half the range, or
            those of a photograph.
    """
    levels = _levels(values)
    if probability and _are_fractions(levels):
        return MaskPixels(values >= 0.5, len(levels))
    if (levels[0] == 0 and len(levels) <= 2) or levels.tolist() == [1]:
        return MaskPixels(values != 0, len(levels))
    try:
        top = 255 if values.dtype == np.uint8 else white_of([values], name)
    except UserError as error:
        raise NotAMaskError(f"{error.problem}; {MASK_FIX}") from error
    probability = probability and len(levels) > MAX_LABELS
    if probability and values.dtype == np.uint16 and not _is_solid(values, levels[-1], top):
        top = 65535
    if fault := _fault(values, levels, top, probability):
        raise NotAMaskError(f"{name} {fault}; {MASK_FIX}")
    return MaskPixels(values >= top / 2, len(levels))


def _levels(values: Values) -> npt.NDArray[np.float64]:
    """Return the different values, sorted."""
    if values.dtype not in (np.uint8, np.uint16):
        return np.unique(values).astype(float)
    counts = np.zeros(2**16, int)
    for part in np.array_split(values.ravel(), 1 + values.size // _AT_ONCE):  # bincount copies to 8 bytes
        counts += np.bincount(part, minlength=len(counts))
    return np.flatnonzero(counts).astype(float)


def _are_fractions(levels: npt.NDArray[np.float64]) -> bool:
    return bool(levels[0] >= 0 and levels[-1] <= 1 and ((levels > 0) & (levels < 1)).any())


def _fault(
    values: Values,
    levels: npt.NDArray[np.float64],
    top: int,
    probability: bool,
) -> str | None:
    """Return why the values are not those of a mask, or None."""
    shares = levels / top
    if levels[-1] < top / 2 and not probability:
        return f"has {_listed(levels)}, none of them over half of {top:g}"
    if shares[0] > BLACK and shares[0] < WHITE and levels[0] >= top / 2:
        return f"has {_listed(levels)}, none of them under half of {top:g}"
    if len(levels) <= MAX_LABELS:
        for level, share in zip(levels[1:-1], shares[1:-1], strict=True):
            between = BLACK < share < WHITE
            if (between or len(levels) <= MAX_LABELS_AT_ENDS) and _solid(values == level).any():
                return f"has {_listed(levels)}, labels of several classes"
    gray = (values > BLACK * top) & (values < WHITE * top)
    if len(levels) > 2 and not probability and gray.mean() > MUCH and _solid(gray).mean() > MUCH:
        return f"has {len(levels)} values, {gray.mean():.0%} of its pixels are grey, as in a photograph"
    return None


def _is_solid(values: Values, level: float, white: int) -> bool:
    """Return whether the highest value is white and fills an area, as in a mask of 8 or 12 bits."""
    return bool(level == white and _solid(values == level).any())


def _solid(region: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return the pixels whose 3 x 3 neighbours are all in the region, so not the thin edges of a lesion."""
    from scipy.ndimage import binary_erosion

    eroded: npt.NDArray[np.bool_] = binary_erosion(region, _BLOCK, border_value=1)
    return eroded


def _listed(levels: npt.NDArray[np.float64]) -> str:
    shown = ", ".join(f"{level:g}" for level in levels[:5])
    word = "value" if len(levels) == 1 else "values"
    return f"the {word} {shown}{', ...' if len(levels) > 5 else ''}"
