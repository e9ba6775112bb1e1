"""Summaries of many cases: per-image means with intervals, and scores of pooled pixel counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mlffm_segdiff.metrics.case_scores import SCORE_NAMES, CaseScores
from mlffm_segdiff.metrics.intervals import Interval, mean_interval
from mlffm_segdiff.metrics.overlap import POOLED_SCORES, total


@dataclass(frozen=True)
class Summary:
    """Scores of many cases.

    Attributes:
        cases: Number of cases.
        per_image: Mean over cases of each score of `CaseScores`; every image has the same weight.
        pooled: Scores of the pixel counts summed over all cases; every pixel has the same weight, so large
            lesions weigh more.
    """

    cases: int
    per_image: Mapping[str, Interval]
    pooled: Mapping[str, float]


def summarise(scores: Sequence[CaseScores], seed: int = 0) -> Summary:
    """Summarise the scores of many cases.

    Args:
        scores: The scores of each case.
        seed: Seed of the bootstrap.

    Returns:
        Per-image means with 95 % BCa intervals, and pooled scores.

    Raises:
        ValueError: For no cases.
    """
    pooled = total(case.counts for case in scores)
    return Summary(
        cases=len(scores),
        per_image={
            name: mean_interval([getattr(case, name) for case in scores], seed) for name in SCORE_NAMES
        },
        pooled={name: score(pooled) for name, score in POOLED_SCORES.items()},
    )
