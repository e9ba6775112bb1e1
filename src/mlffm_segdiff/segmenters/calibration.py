"""The quality calibration of trained weights: quality.json, stored next to them."""

import math
from dataclasses import astuple
from functools import cached_property

from pydantic import BaseModel, ConfigDict, model_validator

from mlffm_segdiff.config.conditions import OF_SAMPLES
from mlffm_segdiff.config.schema import SamplingConfig
from mlffm_segdiff.data.image_quality import QualityLimits
from mlffm_segdiff.metrics.case_bounds import LEVELS, Bounds, most_conservative
from mlffm_segdiff.metrics.certainty import Calibration
from mlffm_segdiff.metrics.conformal import fewest_cases
from mlffm_segdiff.segmenters.companion_file import JsonCompanion


class SetBounds(BaseModel):
    """Bounds that were calibrated on the cases of one data set.

    Attributes:
        cases: Number of calibration cases.
        levels: Bounds by level; only levels that this number of cases can guarantee, unless others lent.
        lenders: Larger data sets that lent the shape of their scores, see `metrics.small_sets`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cases: int
    levels: dict[float, Bounds]
    lenders: tuple[str, ...] = ()

    @property
    def guaranteed(self) -> tuple[float, ...]:
        """Offered levels that hold whatever the distribution of the scores."""
        return tuple(level for level in self.levels if level in LEVELS and self.cases >= fewest_cases(level))


class StyleCalibration(BaseModel):
    """The calibration of masks in one annotation style.

    Attributes:
        calibration: Curve from certainty to expected Dice.
        sets: Bounds by data set.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    calibration: Calibration
    sets: dict[str, SetBounds] = {}

    @model_validator(mode="after")
    def curve_is_possible(self) -> "StyleCalibration":
        """Refuse a curve that no calibration writes."""
        certainty, dice = self.calibration.certainty, self.calibration.dice
        if not (certainty and len(certainty) == len(dice) and all(0 <= x <= 1 for x in (*certainty, *dice))):
            raise ValueError("the calibration needs a Dice in [0, 1] for each certainty in [0, 1]")
        if list(certainty) != sorted(certainty) or list(dice) != sorted(dice):
            raise ValueError("the calibration's certainties and Dices must rise")
        return self

    @cached_property
    def bounds(self) -> dict[float, Bounds]:
        """Bounds by level that hold for each of the data sets of `cases`: each the widest of its kind.

        Also at levels that are not offered, but are needed for the change between two images.
        """
        used = self._used
        shared = [
            level for level in (used[0].levels if used else ()) if all(level in one.levels for one in used)
        ]
        return {level: most_conservative([one.levels[level] for one in used]) for level in shared}

    @property
    def levels(self) -> tuple[float, ...]:
        """Levels that intervals and contours are offered at."""
        return tuple(level for level in self.bounds if level in LEVELS)

    @property
    def cases(self) -> dict[str, int]:
        """Number of calibration cases by data set; of the sets with enough cases to guarantee most levels."""
        return {name: one.cases for name, one in self.sets.items() if one in self._used}

    @property
    def _used(self) -> list[SetBounds]:
        most = max((len(one.guaranteed) for one in self.sets.values()), default=0)
        return [one for one in self.sets.values() if most and len(one.guaranteed) == most]


class Quality(BaseModel):
    """Calibration of the masks of these weights, and limits of their training images.

    Attributes:
        sampling: Sampling settings of the calibrated masks; the calibration applies to no other sampling.
        sources: Data sets of the validation cases.
        cases: Number of validation cases.
        training_images: Number of training images that ``limits`` was computed from.
        split: Digest of the split.
        styles: Calibrations by annotation style; that of ``sampling`` and others.
        limits: Range of sharpness, lightness and colour of the training images.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sampling: SamplingConfig
    sources: tuple[str, ...]
    cases: int
    training_images: int
    split: str
    styles: dict[str, StyleCalibration]
    limits: QualityLimits

    @model_validator(mode="after")
    def styles_and_limits_are_possible(self) -> "Quality":
        """Refuse what no calibration writes."""
        if self.sampling.style not in self.styles:
            raise ValueError(f"the style {self.sampling.style} of the sampling has no calibration")
        if not all(-math.inf < low <= high < math.inf for low, high in astuple(self.limits)):
            raise ValueError("each of the limits needs a lower and an upper bound")
        return self

    def mismatch(self, sampling: SamplingConfig) -> str:
        """Describe the sampling settings in which the calibration differs; empty if it applies.

        The seed never matters. For the posterior mean, settings of samples do not matter, and are not named.
        """
        known = self.sampling
        if sampling.style in self.styles:
            known = known.model_copy(update={"style": sampling.style})
        calibrated, current = (_relevant(one).model_dump() for one in (known, sampling))
        differing = [key for key, value in calibrated.items() if current[key] != value]
        if not known.samples and sampling.samples:
            differing = [key for key in differing if key not in OF_SAMPLES]
        return ", ".join(f"sampling.{key}={calibrated[key]}" for key in differing)


QUALITY = JsonCompanion(
    "quality.json", 3, "no Dice is expected and there are no intervals", "calibrate again", Quality
)


def _relevant(sampling: SamplingConfig) -> SamplingConfig:
    """Return the sampling with the settings that do not change the mask at their defaults."""
    if sampling.samples:
        return sampling.model_copy(update={"seed": 0})
    return SamplingConfig(mirror=sampling.mirror, style=sampling.style, second_look=sampling.second_look)
