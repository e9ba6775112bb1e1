"""The change of a lesion between two images of it, such as those of two visits."""

import math
from dataclasses import dataclass
from typing import Literal

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.inference.estimates import Ends, Estimate, shown_level
from mlffm_segdiff.inference.result import CaseResult
from mlffm_segdiff.metrics.case_bounds import LEVELS

Unit = Literal["mm2", "share"]


@dataclass(frozen=True)
class Change:
    """The area of a lesion in two images of it, and how it changed.

    With the probability of their level, the intervals of all four numbers hold at once. For a level of 90 %,
    those of the areas are at 95 %: each fails in at most 5 % of cases, so one of the two fails in at most
    10 %, whatever the images have in common (Bonferroni's inequality). If both hold, so do those of
    difference and ratio, which are made of their ends.

    Attributes:
        unit: ``mm2``, or ``share`` of the image if the size of a pixel is unknown for one of the images.
            Shares can be compared only if both images show the skin at the same scale.
        before: Area in the first image.
        after: Area in the second image.
        difference: After minus before.
        ratio: After divided by before; None if nothing was found in the first image. The upper end is
            infinite where the area in the first image may be 0.
    """

    unit: Unit
    before: Estimate
    after: Estimate
    difference: Estimate
    ratio: Estimate | None

    @property
    def levels(self) -> tuple[float, ...]:
        """Levels of the intervals; none without a calibration that applies to both images."""
        return tuple(self.difference.intervals)

    def is_certain(self, level: float | None = None) -> bool | None:
        """Return whether the interval of the difference excludes 0; None without a calibration.

        Args:
            level: One of `levels`; None is 0.9, or the highest.

        Raises:
            UserError: The level is not one of these.
        """
        shown = shown_level(level, self.levels)
        if shown is None:
            return None
        low, high = self.difference.intervals[shown]
        return low > 0 or high < 0


def area_level(level: float) -> float:
    """Return the level at which each of two intervals must hold, so that both hold at this one."""
    return round((1 + level) / 2, 9)


def measure_change(before: CaseResult, after: CaseResult) -> Change:
    """Compare the area of a lesion in two images of it.

    Args:
        before: Result of the first image, from `segment`.
        after: Result of the second image.

    Returns:
        Areas, difference and ratio with intervals, in mm2 if the size of a pixel is known for both images.

    Raises:
        UserError: One of them is not a result, such as a list of results, or an image.
    """
    for one in (before, after):
        if not isinstance(getattr(one, "area", None), Estimate):
            raise UserError(
                f"{type(one).__name__} has no areas to compare; give one result of segment, such as found[0]"
            )
    areas = before.area_mm2, after.area_mm2
    unit: Unit = "mm2"
    if areas[0] is None or areas[1] is None:
        unit = "share"
        areas = before.area.scaled(1 / before.mask.size), after.area.scaled(1 / after.mask.size)
    first, second = areas
    assert first is not None
    assert second is not None
    pairs = {
        level: (first.intervals[own], second.intervals[own])
        for level, own in ((level, area_level(level)) for level in LEVELS)
        if own in first.intervals and own in second.intervals
    }
    ratio = None
    if first.value:
        ends = {level: _ratio(one, other) for level, (one, other) in pairs.items()}
        ratio = Estimate(second.value / first.value, ends)
    return Change(
        unit,
        Estimate(first.value, {level: one for level, (one, _) in pairs.items()}),
        Estimate(second.value, {level: other for level, (_, other) in pairs.items()}),
        Estimate(
            second.value - first.value,
            {level: (other[0] - one[1], other[1] - one[0]) for level, (one, other) in pairs.items()},
        ),
        ratio,
    )


def _ratio(before: Ends, after: Ends) -> Ends:
    return after[0] / before[1] if before[1] else 0.0, after[1] / before[0] if before[0] else math.inf
