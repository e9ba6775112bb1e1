"""All scores of one case."""

from __future__ import annotations

from dataclasses import dataclass, fields

from mlffm_segdiff.metrics import overlap
from mlffm_segdiff.metrics.overlap import Counts, Mask, count_pixels
from mlffm_segdiff.metrics.surface import TOLERANCE, surface_scores


@dataclass(frozen=True)
class CaseScores:
    """Scores of one predicted mask; units and ranges in `metrics.overlap` and `metrics.surface`."""

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
    """Score a predicted mask against the true one, both HxW bool.

    tolerance: of the boundary Dice, as a share of the image's diagonal. Empty masks are scored by the rule
    in `metrics.empty`. Raises TypeError for masks that are not bool, ValueError for unlike or
    empty shapes.
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
        boundary_dice=surface.boundary_dice,
        tp=counts.tp,
        fp=counts.fp,
        fn=counts.fn,
        tn=counts.tn,
    )
