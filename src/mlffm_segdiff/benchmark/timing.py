"""Time contestants in turns, so that other load on the machine affects all of them equally."""

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

Work = Callable[[], object]
Clock = Callable[[], float]

MIN_SECONDS = 0.02


@dataclass(frozen=True)
class Figure:
    """A median and its first and third quartile."""

    value: float
    low: float
    high: float

    def times(self, factor: float) -> "Figure":
        """Return the figure multiplied by a positive factor."""
        return Figure(self.value * factor, self.low * factor, self.high * factor)


@dataclass(frozen=True)
class Timing:
    """Seconds per call of one contestant, one entry per turn."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The median over the turns."""
        return statistics.median(self.seconds)


def take_turns(
    contestants: Mapping[str, Work], repeats: int, clock: Clock, least_seconds: float = MIN_SECONDS
) -> dict[str, Timing]:
    """Time each contestant once per turn, every second turn in reverse order.

    Before the first turn each runs twice without being timed: to warm up, and to find how many calls fill
    ``least_seconds``.

    Args:
        contestants: Works by name.
        repeats: Number of turns, at least 1.
        clock: Clock in seconds.
        least_seconds: Minimum time of a turn, well above the resolution of the clock.

    Returns:
        Timings by name.
    """
    calls = {name: _calls_to_fill(least_seconds, work, clock) for name, work in contestants.items()}
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(repeats):
        for name in contestants if turn % 2 == 0 else reversed(list(contestants)):
            seconds[name].append(_seconds_per_call(contestants[name], calls[name], clock))
    return {name: Timing(tuple(found)) for name, found in seconds.items()}


def time_ratio(one: Timing, other: Timing) -> Figure:
    """Divide one timing by another: the ratio of medians, and the quartiles of the ratios of turns."""
    turns = [a / b for a, b in zip(one.seconds, other.seconds, strict=True)]
    _, low, high = quartiles(turns)
    return Figure(one.median / other.median, low, high)


def figure(values: Iterable[float]) -> Figure:
    """Return the median and quartiles of one or more values."""
    return Figure(*quartiles(list(values)))


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Return median, first and third quartile of one or more values, by linear interpolation."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return median, low, high


def plain(number: float) -> str:
    """Format a number with three significant digits, without an exponent for large numbers."""
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"


def _calls_to_fill(seconds: float, work: Work, clock: Clock) -> int:
    work()
    once = _seconds_per_call(work, 1, clock)
    return max(1, math.ceil(seconds / max(once, 1e-9)))


def _seconds_per_call(work: Work, calls: int, clock: Clock) -> float:
    start = clock()
    for _ in range(calls):
        work()
    return (clock() - start) / calls
