"""The project's goals for speed and memory, and whether they were met."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from mlffm_segdiff.benchmark.timing import Figure, Timing


@dataclass(frozen=True)
class Goal:
    """One goal.

    Attributes:
        name: Short name.
        what: Measured quantity.
        bound: Bound of the figure, in ``unit``.
        at_most: Whether the bound is an upper one; otherwise it is a lower one.
        unit: Unit of figure and bound.
        how: Method of measurement, as far as needed to read the figure.
    """

    name: str
    what: str
    bound: float
    at_most: bool
    unit: str
    how: str = ""

    def met(self, value: float) -> bool:
        """Return whether a figure meets the bound."""
        return value <= self.bound if self.at_most else value >= self.bound

    def margin(self, value: float) -> float:
        """Return how many times better than the bound a positive figure is; below 1 the goal is missed."""
        return self.bound / value if self.at_most else value / self.bound


AT_LEAST, AT_MOST = False, True

_SEGMENTATION = (
    "a segmentation is the default one, the posterior mean: encode + 1 denoising step; SwinUNETR-24's is one "
    "forward pass; the goal is for two threads"
)
_DERMOSEGDIFF = "321,181,377 parameters, with weight standardisation folded into the weights"
_PUBLISHED = "theirs is 250 steps x 5 samples: one step of a batch of 5 is timed and multiplied by 250"
_TRAINING = "batch 16 in memory; loss, gradients, clipping, fused AdamW and averaged weights for all networks"
_MEMORY = "of the whole process"
_PREDICT = "JPEG files of 1024 x 768; same batch size and threads; the network only has its images in memory"
_SWIN = "time of a segmentation divided by SwinUNETR-24's"
_GOALS = (
    Goal("segmentation-1", f"{_SWIN}, batch 1", 0.25, AT_MOST, "x", _SEGMENTATION),
    Goal("segmentation-16", f"{_SWIN}, batch 16", 0.12, AT_MOST, "x", _SEGMENTATION),
    Goal("denoise-step", "time of a DermoSegDiff step divided by ours", 60, AT_LEAST, "x", _DERMOSEGDIFF),
    Goal(
        "ensemble",
        "time of DermoSegDiff as published divided by ours, 4 steps x 5 samples",
        20_000,
        AT_LEAST,
        "x",
        _PUBLISHED,
    ),
    Goal("train-swin_unetr", "training images/s divided by SwinUNETR-24's", 3, AT_LEAST, "x", _TRAINING),
    Goal(
        "peak-share",
        "share of the measured matrix peak in segmentation, batch 16",
        35,
        AT_LEAST,
        "%",
        _SEGMENTATION,
    ),
    Goal("memory", "peak memory of predict, batch 1", 1, AT_MOST, "GB", _MEMORY),
    Goal("memory-growth", "peak memory of predict with 4 times as many files", 1.05, AT_MOST, "x", _MEMORY),
    Goal("predict", "images/s of predict divided by the network's only", 0.9, AT_LEAST, "x", _PREDICT),
)
GOALS: Mapping[str, Goal] = MappingProxyType({goal.name: goal for goal in _GOALS})


@dataclass(frozen=True)
class Result:
    """The figure measured for a goal.

    Attributes:
        goal: The goal.
        figure: Measured figure; None if it could not be measured.
        note: Reason why it was not measured.
    """

    goal: Goal
    figure: Figure | None
    note: str = ""


@dataclass(frozen=True)
class Findings:
    """The outcome of one measurement.

    Attributes:
        results: Results for the goals.
        timings: Seconds by contestant.
        facts: Numbers by section and by name, which contains the unit.
    """

    results: tuple[Result, ...]
    timings: Mapping[str, Timing] = field(default_factory=dict)
    facts: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
