"""Speeds of a machine that segments into shards: seconds and bytes of an image by its size."""

from collections.abc import Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict, NonNegativeFloat, PositiveFloat, PositiveInt
from scipy.optimize import nnls


class StageLine(BaseModel):
    """A quantity of an image that grows with its size, never negative."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fixed: NonNegativeFloat
    per_megapixel: NonNegativeFloat

    def at(self, megapixels: float) -> float:
        """Return the quantity for an image of this size."""
        return self.fixed + self.per_megapixel * megapixels


class JobSpeeds(BaseModel):
    """Speeds of a machine, from `measure_speeds`.

    Attributes:
        machine: Name of the processor and device.
        weights: Name of the weights.
        threads: CPU threads of the network, of one worker.
        cores: CPU cores of the machine.
        stages: CPU seconds of an image by stage, in the order of the work.
        gpu: Seconds of the network on a GPU; None on the CPU.
        input_bytes: Size of an image file.
        output_bytes: Size of an image's part of a shard.
        driver_seconds: CPU seconds of the command itself per image, for manifest and table.
        entry_bytes: Memory of the command per image: its entry in the list, and its place in a shard.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    machine: str
    weights: str
    threads: PositiveInt
    cores: PositiveInt
    stages: dict[str, StageLine]
    gpu: StageLine | None = None
    input_bytes: StageLine
    output_bytes: StageLine
    driver_seconds: NonNegativeFloat
    entry_bytes: PositiveFloat

    def image_seconds(self, megapixels: float) -> float:
        """Return the CPU seconds of an image of this size."""
        return sum(line.at(megapixels) for line in self.stages.values())


def fit_line(megapixels: Sequence[float], values: Sequence[float]) -> StageLine:
    """Fit a line with no negative coefficient by least squares of the relative errors.

    Args:
        megapixels: Sizes.
        values: Quantities at these sizes, not negative; those that are 0 weigh as the smallest of the others.
    """
    found = np.maximum(values, 0.0)
    if not found.any():
        return StageLine(fixed=0, per_megapixel=0)
    weights = 1 / np.maximum(found, found[found > 0].min())
    design = np.column_stack([np.ones(len(found)), megapixels])
    (fixed, slope), _ = nnls(design * weights[:, None], found * weights)
    return StageLine(fixed=fixed, per_megapixel=slope)
