"""Grey values of more than 8 bits, or with fractions, as 8 bits."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from mlffm_segdiff.config.errors import UserError

WHITES = (1, 255, 4095, 65535)
"""Values that white has: fractions, and 8, 12 and 16 bits."""

OVERSHOOT = 0.1
"""Share of white by which fractional values may exceed it, or fall below 0, as after resampling."""

Values = npt.NDArray[np.generic]


def white_of(stripes: Iterable[Values], name: str) -> int:
    """Return which of WHITES is white in an image, by its highest value.

    Args:
        stripes: The grey values, whole numbers or fractions, in any number of parts.
        name: Name of the file in errors.

    Raises:
        UserError: A value is not a number, or the range of the values fits none of WHITES.
    """
    low, high, fractions = np.float64(np.inf), np.float64(-np.inf), False
    for stripe in stripes:
        low, high = np.minimum(low, stripe.min()), np.maximum(high, stripe.max())  # keep NaN
        fractions = bool(np.issubdtype(stripe.dtype, np.floating))
        if not np.isfinite([low, high]).all():
            raise UserError(f"{name} has grey values that are not finite numbers; rescale it to 8 or 16 bits")
    tolerance = OVERSHOOT if fractions else 0
    whites = WHITES if fractions else WHITES[1:]
    white = next((white for white in whites if high <= white * (1 + tolerance)), None)
    unclear = fractions and white != 1 and high < 16  # such as 0 to 2: nearly black as 8 bits
    if white is None or unclear or low < -white * tolerance:
        raise UserError(
            f"{name} has grey values from {low:g} to {high:g}, which fit neither 0 to 1 nor 8, 12 or 16 "
            "bits; rescale it to 8 or 16 bits"
        )
    return white


def high_byte(values: Values, white: int) -> npt.NDArray[np.uint8]:
    """Return grey values as uint8, rounded down to the high 8 of the bits that `white` has."""
    if np.issubdtype(values.dtype, np.floating):
        scaled = np.asarray(values, dtype=np.float32) * np.float32(65535 / white)
        values, white = np.rint(np.clip(scaled, 0, 65535)).astype(np.uint16), 65535
    return np.asarray(np.right_shift(values, {255: 0, 4095: 4, 65535: 8}[white]), np.uint8)
