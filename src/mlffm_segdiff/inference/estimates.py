"""Numbers and contours of one case with the intervals that hold for them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Self

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.metrics.overlap import Mask

DEFAULT_LEVEL = 0.9
"""Level of the intervals and contours that outputs show."""

Ends = tuple[float, float]


@dataclass(frozen=True)
class Estimate:
    """A number found in an image, with the intervals that hold for its true value.

    ``str()`` gives, for example, "0.91 (0.78 to 0.97)".

    Attributes:
        value: From the mask.
        intervals: Lower and upper end by level; none without a calibration that applies.
    """

    value: float
    intervals: Mapping[float, Ends] = field(default_factory=dict)

    def interval(self, level: float = DEFAULT_LEVEL) -> Ends | None:
        """Return the interval that holds the true value with this probability; None without a calibration.

        Raises:
            UserError: The weights are not calibrated for this level.
        """
        if not self.intervals:
            return None
        require_level(level, self.intervals)
        return self.intervals[level]

    def scaled(self, factor: float) -> Self:
        """Return the number and its intervals times a factor, such as the area of a pixel."""
        return self.mapped(lambda value: value * factor)

    def mapped(self, function: Callable[[float], float]) -> Self:
        """Return a rising function of the number and of its intervals."""
        ends = {level: (function(low), function(high)) for level, (low, high) in self.intervals.items()}
        return type(self)(function(self.value), ends)

    def __str__(self) -> str:
        shown = self.intervals.get(DEFAULT_LEVEL)
        digits = ".2f" if abs(self.value) < 10 else ".0f"
        return f"{self.value:{digits}}" + (f" ({shown[0]:{digits}} to {shown[1]:{digits}})" if shown else "")


@dataclass(frozen=True)
class ContourBand:
    """The two masks between whose borders the lesion's border is, HxW bool each.

    Attributes:
        inner: Within the mask.
        outer: Holds the mask.
    """

    inner: Mask
    outer: Mask


def require_level(level: float, levels: Mapping[float, object]) -> None:
    """Raise UserError unless the level is one of these."""
    if level not in levels:
        raise UserError(
            f"level {level:g} is not calibrated; choose from {', '.join(f'{one:g}' for one in levels)}"
        )
