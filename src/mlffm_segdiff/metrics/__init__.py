"""Scores of masks, of samples, and of how certain a segmentation is.

Example:
    >>> from mlffm_segdiff.metrics import score_case, summarise
    >>> scores = [score_case(predicted, truth) for predicted, truth in masks]
    >>> summarise(scores).pooled["jaccard"]

One pair of masks: `score_case`, or `count_pixels` with `dice`, `jaccard` and the like; `surface_scores`.
Many cases: `summarise`. Samples of one image: `score_samples`, `summarise_samples`.
Certainty: `soft_dice_confidence`, `sample_agreement`, `fit_calibration`.
"""

from typing import TYPE_CHECKING

from mlffm_segdiff.config.lazy import lazy_exports

if TYPE_CHECKING:
    from mlffm_segdiff.metrics.case_scores import CaseScores, score_case
    from mlffm_segdiff.metrics.certainty import (
        Calibration,
        fit_calibration,
        sample_agreement,
        soft_dice_confidence,
    )
    from mlffm_segdiff.metrics.distribution import (
        SampleScores,
        SampleSummary,
        score_samples,
        summarise_samples,
    )
    from mlffm_segdiff.metrics.overlap import (
        Counts,
        accuracy,
        count_pixels,
        dice,
        jaccard,
        precision,
        recall,
        specificity,
        thresholded_jaccard,
        total,
    )
    from mlffm_segdiff.metrics.summary import Summary, summarise
    from mlffm_segdiff.metrics.surface import SurfaceScores, surface_scores

__all__ = [
    "Calibration",
    "CaseScores",
    "Counts",
    "SampleScores",
    "SampleSummary",
    "Summary",
    "SurfaceScores",
    "accuracy",
    "count_pixels",
    "dice",
    "fit_calibration",
    "jaccard",
    "precision",
    "recall",
    "sample_agreement",
    "score_case",
    "score_samples",
    "soft_dice_confidence",
    "specificity",
    "summarise",
    "summarise_samples",
    "surface_scores",
    "thresholded_jaccard",
    "total",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "case_scores": "CaseScores score_case",
        "certainty": "Calibration fit_calibration sample_agreement soft_dice_confidence",
        "distribution": "SampleScores SampleSummary score_samples summarise_samples",
        "overlap": "Counts accuracy count_pixels dice jaccard precision recall specificity "
        "thresholded_jaccard total",
        "summary": "Summary summarise",
        "surface": "SurfaceScores surface_scores",
    },
)
