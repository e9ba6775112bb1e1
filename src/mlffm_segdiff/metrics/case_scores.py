"""All scores of one predicted mask."""

from __future__ import annotations

from dataclasses import dataclass, fields

from mlffm_segdiff.metrics import overlap
from mlffm_segdiff.metrics.overlap import Counts, Mask, count_pixels
from mlffm_segdiff.metrics.surface import TOLERANCE, surface_scores


@dataclass(frozen=True)
class CaseScores:
    """Scores of one predicted mask; `metrics.overlap` and `metrics.surface` document units and ranges."""

    accuracy: float
    precision: float
    recall: float
    specificity: float
    dice: float
    jaccard: float
    thresholded_jaccard: float
    hd95: float
    hd95_percent: float
    assd: float
    assd_percent: float
    boundary_dice: float
    tp: int
    fp: int
    fn: int
    tn: int

    @property
    def counts(self) -> Counts:
        """The four pixel counts."""
        return Counts(tp=self.tp, fp=self.fp, fn=self.fn, tn=self.tn)


COUNT_NAMES = tuple(field.name for field in fields(Counts))
SCORE_NAMES = tuple(field.name for field in fields(CaseScores) if field.name not in COUNT_NAMES)


def score_case(predicted: Mask, truth: Mask, tolerance: float = TOLERANCE) -> CaseScores:
    """Score a predicted mask against the ground truth; `metrics.empty` documents empty masks.

    Args:
        predicted: HxW bool.
        truth: HxW bool.
        tolerance: Tolerance of the boundary Dice as a share of the image diagonal.

    Raises:
        TypeError: If a mask is not bool.
        ValueError: If the shapes differ or are empty, or the tolerance is below 0 or NaN.
    """
    counts = count_pixels(predicted, truth)
    surface = surface_scores(predicted, truth, tolerance)
    return CaseScores(
        accuracy=overlap.accuracy(counts),
        precision=overlap.precision(counts),
        recall=overlap.recall(counts),
        specificity=overlap.specificity(counts),
        dice=overlap.dice(counts),
        jaccard=overlap.jaccard(counts),
        thresholded_jaccard=overlap.thresholded_jaccard(counts),
        hd95=surface.hd95,
        hd95_percent=surface.hd95_percent,
        assd=surface.assd,
        assd_percent=surface.assd_percent,
        boundary_dice=surface.boundary_dice,
        tp=counts.tp,
        fp=counts.fp,
        fn=counts.fn,
        tn=counts.tn,
    )
