"""Numbers and contours of one case with the intervals that hold for them."""

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import Self

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.metrics.case_bounds import LEVELS
from mlffm_segdiff.metrics.overlap import Mask

DEFAULT_LEVEL = 0.9
"""Level of the intervals and contours that outputs show."""

Ends = tuple[float, float]


@dataclass(frozen=True)
class Estimate:
    """A number found in an image, with the intervals that hold for its true value.

    ``str()`` gives, for example, "0.91 (0.78 to 0.97)".

    Attributes:
        value: Value measured on the mask.
        intervals: Lower and upper end by level; none without a calibration that applies.
    """

    value: float
    intervals: Mapping[float, Ends] = field(default_factory=dict)

    def interval(self, level: float = DEFAULT_LEVEL) -> Ends | None:
        """Return the interval that holds the true value with this probability; None without a calibration.

        Args:
            level: Level as a share (0.9) or in percent (90).

        Raises:
            UserError: The weights are not calibrated for this level.
        """
        if not self.intervals:
            return None
        return self.intervals[require_level(level, [one for one in self.intervals if one in LEVELS])]

    def scaled(self, factor: float) -> Self:
        """Return the number and its intervals times a factor, such as the area of a pixel."""
        return self.mapped(lambda value: value * factor)

    def mapped(self, function: Callable[[float], float]) -> Self:
        """Return a rising function of the number and of its intervals."""
        ends = {level: (function(low), function(high)) for level, (low, high) in self.intervals.items()}
        return type(self)(function(self.value), ends)

    def __str__(self) -> str:
        return with_interval(self.value, self.intervals.get(DEFAULT_LEVEL))


@dataclass(frozen=True, eq=False)
class ContourBand:
    """The two masks between whose borders the lesion's border is, HxW bool each.

    Attributes:
        inner: Within the mask.
        outer: Contains the mask.
        level: Probability with which the pair holds, in (0, 1).
    """

    inner: Mask
    outer: Mask
    level: float

    @property
    def between(self) -> Mask:
        """Pixels within the outer contour and outside the inner one, HxW bool."""
        return self.outer & ~self.inner


def with_interval(value: float, ends: Ends | None) -> str:
    """Return a number with its interval in words, such as "0.91 (0.78 to 0.97)".

    Args:
        value: The number.
        ends: Lower and upper end; None leaves the interval out.
    """
    size = abs(value)
    digits = ".2f" if size < 10 else ".1f" if size < 100 else ".0f"
    return f"{value:{digits}}" + (f" ({ends[0]:{digits}} to {ends[1]:{digits}})" if ends else "")


def as_level(number: float) -> float:
    """Return a level that is given as a share (0.9) or in percent (90).

    Raises:
        UserError: The number is not above 0 and below 100, or is 1, which is neither.
    """
    if not isinstance(number, Real):
        raise UserError(f"level {number!r} is not a number; give a share such as 0.9, or percent such as 90")
    if not 0 < number < 100 or number == 1:
        raise UserError(f"level {number:g} is out of range; give a share such as 0.9, or percent such as 90")
    return number if number < 1 else round(number / 100, 9)


def shown_level(wanted: float | None, levels: Collection[float]) -> float | None:
    """Return the level at which outputs show intervals; None if none is calibrated.

    Args:
        wanted: Requested level; None is `DEFAULT_LEVEL`, or the highest level if there were too few cases to
            calibrate it.
        levels: Levels that are calibrated.

    Raises:
        UserError: The wanted level is not calibrated, but others are.
    """
    if not levels:
        return None
    if wanted is None:
        return DEFAULT_LEVEL if DEFAULT_LEVEL in levels else max(levels)
    return require_level(wanted, levels)


def require_level(number: float, levels: Collection[float]) -> float:
    """Return a level, given as in `as_level`. Raises UserError unless it is one of these."""
    level = as_level(number)
    found = next((one for one in levels if math.isclose(one, level, abs_tol=1e-6)), None)
    if found is None:
        raise UserError(
            f"level {level:g} is not calibrated; choose from {', '.join(f'{one:g}' for one in levels)}"
        )
    return found
