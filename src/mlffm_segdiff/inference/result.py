"""The result of one image, for `predict`, `serve`, `evaluate` and Python."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from mlffm_segdiff.inference.confidence import Flag, contrast_of, raise_flags
from mlffm_segdiff.inference.estimates import DEFAULT_LEVEL, ContourBand, Ends, Estimate, require_level
from mlffm_segdiff.inference.measures.lesion_measures import LesionMeasures, measure_lesion
from mlffm_segdiff.inference.reading.case_image import CaseImage
from mlffm_segdiff.metrics.case_bounds import Bounds, area_interval, dice_interval, threshold_at
from mlffm_segdiff.metrics.overlap import Mask
from mlffm_segdiff.segmenters.agreement import HumanAgreement
from mlffm_segdiff.segmenters.calibration import Quality, StyleCalibration
from mlffm_segdiff.segmenters.network_output import Map, NetworkOutput, map_at
from mlffm_segdiff.segmenters.outliers import OutlierScore

POSSIBLE = 0.05
"""Probability from which a pixel counts for the mean spread."""


@dataclass(frozen=True, eq=False)
class CaseResult:
    """The segmentation of one image, with measures, at the image's own size.

    Maps are resized when they are read, and measures taken when they are first read, so that a result holds
    its mask, a view of the image of at most 512 x 512 pixels, and the network's input and output.

    Attributes:
        image: The image.
        mask: HxW bool, True on the lesion: where the probability reaches the threshold, post-processed.
        segmentation: The network's output; None for a mask drawn by a person.
        certainty: Soft Dice confidence in [0, 1], 0 if nothing was found; None without a segmentation.
        calibration: Calibration of such masks; None without one that applies.
        mm_per_pixel: Side of a pixel in millimetres; None if it is unknown.
        quality: Calibration of the weights, with the limits of the training images; None without one.
        level: Level of the intervals and contours that outputs show, in (0, 1); None without a calibration
            that applies.
        outlier: How unlike the training images the image is; None without a detector of the weights.
        expected_human_agreement: How well people would agree on the outline; None where no Dice is expected,
            and without a predictor of the weights.
        prompted: The segmentation depends on marks of a user.
    """

    image: CaseImage = field(repr=False)
    mask: Mask = field(repr=False)
    segmentation: NetworkOutput | None = field(default=None, repr=False)
    certainty: float | None = None
    calibration: StyleCalibration | None = field(default=None, repr=False)
    mm_per_pixel: float | None = None
    quality: Quality | None = field(default=None, repr=False)
    level: float | None = None
    outlier: OutlierScore | None = None
    expected_human_agreement: HumanAgreement | None = None
    prompted: bool = False

    @property
    def probability(self) -> Map:
        """HxW float32 in [0, 1]: the posterior mean, or the fusion of the samples."""
        if self.segmentation is None:
            return self.mask.astype(np.float32)
        return self.segmentation.probability_at(*self.mask.shape)

    @property
    def spread(self) -> Map:
        """HxW float32 in [0, 0.5]: standard deviation of the samples, 0 for fewer than two."""
        if self.segmentation is None or not self.segmentation.spread.any():
            return np.zeros(self.mask.shape, np.float32)
        return map_at(self.segmentation.spread, *self.mask.shape)

    @property
    def samples(self) -> Map | None:
        """NxSxS float32 in [0, 1]: the samples at the network's size; None if none were drawn."""
        return self.segmentation.samples if self.segmentation else None

    @property
    def score(self) -> float | None:
        """Mean probability over the mask, as other programs rank masks; None without a lesion."""
        if not self.mask.any():
            return None
        return round(float(self.probability[self.mask].mean(dtype=np.float64)), 6)

    @cached_property
    def measures(self) -> LesionMeasures:
        """Size, position, shape, border and colour of the lesion."""
        return measure_lesion(self.mask, self.image.view, self.mm_per_pixel, self._mean_spread())

    @property
    def levels(self) -> tuple[float, ...]:
        """Levels of the intervals and contours; none without a calibration that applies."""
        return self.calibration.levels if self.calibration else ()

    @property
    def calibration_cases(self) -> dict[str, int]:
        """Number of calibration cases of the intervals and contours, by data set."""
        return self.calibration.cases if self.calibration else {}

    @cached_property
    def contrast(self) -> float:
        """Distance (Delta E*ab) of the mean colours inside and outside of the mask, at the network's size.

        It is 0 if one of them is empty, or without a segmentation.
        """
        return 0.0 if self.segmentation is None else contrast_of(self.image.network_input, self.segmentation)

    @cached_property
    def expected_dice(self) -> Estimate | None:
        """Dice to expect at this certainty, in [0, 1]; None without a calibration that applies."""
        if self.calibration is None or self.certainty is None:
            return None
        expected, certainty = self.calibration.calibration.expected_dice(self.certainty), self.certainty
        intervals = {level: dice_interval(certainty, bounds) for level, bounds in self._bounds.items()}
        return _estimate(expected, intervals)

    @cached_property
    def area(self) -> Estimate:
        """Area of the lesion in pixels."""
        intervals: dict[float, Ends] = {}
        if self._bounds and self.certainty is not None:
            known = (self.measures.area_share, self.certainty, self.contrast)
            found = {level: area_interval(*known, bounds) for level, bounds in self._bounds.items()}
            size = self.mask.size
            intervals = {level: (low * size, high * size) for level, (low, high) in found.items()}
        return _estimate(self.measures.area, intervals)

    @property
    def area_mm2(self) -> Estimate | None:
        """Area of the lesion in square millimetres; None if the size of a pixel is unknown."""
        return None if self.mm_per_pixel is None else self.area.scaled(self.mm_per_pixel**2)

    @property
    def equivalent_diameter(self) -> Estimate:
        """Diameter in pixels of the disc of the lesion's area, with intervals from those of the area."""
        return self.area.mapped(lambda area: 2 * math.sqrt(area / math.pi))

    @property
    def equivalent_diameter_mm(self) -> Estimate | None:
        """The equivalent diameter in millimetres; None if the size of a pixel is unknown."""
        return None if self.mm_per_pixel is None else self.equivalent_diameter.scaled(self.mm_per_pixel)

    @property
    def intervals(self) -> dict[str, Ends]:
        """The intervals at `level`, by the names of measures; none without a calibration that applies."""
        if self.level is None:
            return {}
        estimates = {
            "expected_dice": self.expected_dice,
            "area": self.area,
            "equivalent_diameter": self.equivalent_diameter,
            "area_mm2": self.area_mm2,
            "equivalent_diameter_mm": self.equivalent_diameter_mm,
        }
        return {name: one.intervals[self.level] for name, one in estimates.items() if one is not None}

    @property
    def band(self) -> ContourBand | None:
        """The inner and outer contour at `level`; None without a calibration that applies."""
        return None if self.level is None else self.contours(self.level)

    def contours(self, level: float = DEFAULT_LEVEL, mean: bool = False) -> ContourBand | None:
        """Return the inner and outer contour as masks; None without a calibration that applies.

        Each of the two holds in a share ``level`` of cases like those of the calibration: at most 5 % of the
        pixels within the inner contour are not lesion; at most 5 % of the lesion is outside the outer one.

        Args:
            level: One of `levels`, as a share (0.9) or in percent (90).
            mean: Contours for which these two shares are at most 1 - level on average over the cases instead.

        Raises:
            UserError: The weights are not calibrated for this level.
        """
        bounds = self._bounds
        if not bounds:
            return None
        level = require_level(level, self.levels)
        one, probability = bounds[level], self.probability
        usual = (one.mean_inner, one.mean_outer) if mean else (one.inner, one.outer)
        inner, outer = (threshold_at(threshold, self.contrast) for threshold in usual)
        return ContourBand((probability >= inner) & self.mask, (probability >= outer) | self.mask, level)

    @cached_property
    def flags(self) -> tuple[Flag, ...]:
        """Reasons to review the case, in the order of `confidence.FLAGS`."""
        components, shown = self.measures.components, self.image.network_input
        return raise_flags(self.mask, components, shown, self.quality, self.outlier)

    @cached_property
    def _bounds(self) -> dict[float, Bounds]:
        return self.calibration.bounds if self.calibration else {}

    def _mean_spread(self) -> float | None:
        """Return the mean spread where the probability is at least POSSIBLE, 0 if it is nowhere."""
        if self.samples is None or len(self.samples) < 2:
            return None
        possible = self.probability >= POSSIBLE
        return float(self.spread.mean(dtype=np.float64, where=possible)) if possible.any() else 0.0


def _estimate(value: float, intervals: Mapping[float, Ends]) -> Estimate:
    """Return the number with its intervals, each extended to hold it."""
    ends = {level: (min(low, value), max(high, value)) for level, (low, high) in intervals.items()}
    return Estimate(value, ends)
