"""What is to be reached, and whether it was."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from mlffm_segdiff.benchmark.timing import Figure, Timing


@dataclass(frozen=True)
class Goal:
    """One line of the goals' table. bound: the figure must be at most, or else at least, this.

    unit: what figure and bound count. how: what one must know to read the figure.
    """

    name: str
    what: str
    bound: float
    at_most: bool
    unit: str
    how: str = ""

    def met(self, value: float) -> bool:
        """Return whether a figure reaches the bound."""
        return value <= self.bound if self.at_most else value >= self.bound

    def margin(self, value: float) -> float:
        """Return how many times better than the bound a figure above 0 is; below 1 it misses it."""
        return self.bound / value if self.at_most else value / self.bound


AT_LEAST, AT_MOST = False, True

_SEGMENTATION = (
    "a segmentation is the default one, the posterior mean: encode + 1 denoising step; SwinUNETR-24's is one "
    "forward pass; the goal is of two threads"
)
_DERMOSEGDIFF = "321,181,377 parameters, its weight standardisation folded into the weights first"
_PUBLISHED = "theirs is 250 steps x 5 samples: one step is timed, its 5 samples a batch, and taken 250 times"
_TRAINING = "batch 16 in memory; loss, gradients, clipping, fused AdamW and averaged weights for all alike"
_MEMORY = "of the whole process"
_PREDICT = (
    "JPEG files of 1024 x 768; same batch size and threads; the network alone has its pictures in memory"
)

GOALS: Mapping[str, Goal] = MappingProxyType(
    {
        goal.name: goal
        for goal in (
            Goal(
                "segmentation-1",
                "time of a segmentation over SwinUNETR-24's, batch 1",
                0.25,
                AT_MOST,
                "x",
                _SEGMENTATION,
            ),
            Goal(
                "segmentation-16",
                "time of a segmentation over SwinUNETR-24's, batch 16",
                0.12,
                AT_MOST,
                "x",
                _SEGMENTATION,
            ),
            Goal(
                "denoise-step",
                "time of a DermoSegDiff step over one of ours",
                60,
                AT_LEAST,
                "x",
                _DERMOSEGDIFF,
            ),
            Goal(
                "ensemble",
                "time of DermoSegDiff as published over ours, 4 steps x 5 samples",
                20_000,
                AT_LEAST,
                "x",
                _PUBLISHED,
            ),
            Goal("train-swin_unetr", "training images/s over SwinUNETR-24's", 3, AT_LEAST, "x", _TRAINING),
            Goal(
                "peak-share",
                "share of the measured matrix peak in segmentation, batch 16",
                35,
                AT_LEAST,
                "%",
                _SEGMENTATION,
            ),
            Goal("memory", "peak memory of predict, batch 1", 1, AT_MOST, "GB", _MEMORY),
            Goal(
                "memory-growth",
                "peak memory of predict with 4 times the files over that with the fewer",
                1.05,
                AT_MOST,
                "x",
                _MEMORY,
            ),
            Goal("predict", "images/s of predict over the network's alone", 0.9, AT_LEAST, "x", _PREDICT),
        )
    }
)


@dataclass(frozen=True)
class Result:
    """What was found for a goal. figure: None where it was not measured; the note says why."""

    goal: Goal
    figure: Figure | None
    note: str = ""


@dataclass(frozen=True)
class Findings:
    """What one measurement found.

    timings: seconds by contestant. facts: numbers by name, which says the unit, by section.
    """

    results: tuple[Result, ...]
    timings: Mapping[str, Timing] = field(default_factory=dict)
    facts: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
