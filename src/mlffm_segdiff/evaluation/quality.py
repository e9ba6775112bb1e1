"""How well a model's certainty identifies its bad masks: certainty against the true Dice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr

from mlffm_segdiff.evaluation.rows import EvaluatedCase
from mlffm_segdiff.inference.result import CaseResult
from mlffm_segdiff.metrics.certainty import sample_agreement
from mlffm_segdiff.metrics.overlap import JACCARD_THRESHOLD

Numbers = npt.NDArray[np.float64]

SHARES = (0.1, 0.2, 0.3)
BINS = 10
MIN_TO_RANK = 3


@dataclass(frozen=True)
class JudgedCase:
    """How certain the model was of a mask, and how good the mask is.

    Attributes:
        id: Case id.
        dice: Dice at the size of the ground truth, in [0, 1].
        jaccard: Jaccard index at the size of the ground truth, in [0, 1].
        certainty: Soft Dice confidence, in [0, 1].
        expected_dice: Dice expected by the calibration, in [0, 1]; None without one that applies.
        agreement: Agreement of the samples, see `sample_agreement`; None for fewer than two.
    """

    id: str
    dice: float
    jaccard: float
    certainty: float
    expected_dice: float | None = None
    agreement: float | None = None


def judge_case(result: CaseResult, evaluated: EvaluatedCase) -> JudgedCase:
    """Return the certainty of a result next to its scores at source size."""
    assert result.certainty is not None
    return JudgedCase(
        evaluated.id,
        evaluated.source.dice,
        evaluated.source.jaccard,
        result.certainty,
        result.expected_dice.value if result.expected_dice else None,
        None if result.samples is None else sample_agreement(result.samples),
    )


def caught_share(doubt: Sequence[float], bad: Sequence[bool], share: float) -> float | None:
    """Return the share of all bad cases that are among the `share` most doubtful; None if none is bad.

    Of equally doubtful cases, each has the share of them that is bad, so their order does not count.

    Args:
        doubt: Doubt about each case; larger is more doubtful.
        bad: Whether each case is bad.
        share: Share of the cases that are reviewed, in [0, 1].
    """
    _, rising = _rising(doubt, bad)
    doubtful = rising[len(rising) - round(share * len(rising)) :]
    total = np.count_nonzero(bad)
    return float(doubtful.sum() / total) if total else None


def retained_error(doubt: Sequence[float], dices: Sequence[float]) -> Numbers:
    """Return the mean of 1 - Dice of the 1, 2, .. n least doubtful cases (error-retention curve).

    Equally doubtful cases have their mean Dice.
    """
    _, rising = _rising(doubt, dices)
    mean: Numbers = np.cumsum(1 - rising) / np.arange(1, len(rising) + 1)
    return mean


def reliability_bins(expected: Sequence[float], dices: Sequence[float]) -> list[tuple[float, float, int]]:
    """Return mean expected Dice, mean Dice and number of cases of BINS groups of similar size, rising.

    Cases of the same expected Dice have their mean Dice, so it does not count which group they are in.
    """
    groups = zip(*(np.array_split(values, BINS) for values in _rising(expected, dices)), strict=True)
    return [(float(one.mean()), float(other.mean()), len(one)) for one, other in groups if len(one)]


def _rising(keys: Sequence[float], values: Sequence[float]) -> tuple[Numbers, Numbers]:
    """Return keys in rising order, and the values of each, those of equal keys averaged."""
    different, place, counts = np.unique(keys, return_inverse=True, return_counts=True)
    means = np.bincount(place, weights=np.asarray(values, dtype=np.float64)) / counts
    return np.repeat(different, counts), np.repeat(means, counts)


def quality_summary(cases: Sequence[JudgedCase]) -> dict[str, object]:
    """Summarise how well certainty predicts Dice, as plain values for summary.json.

    Returns:
        ``bad``, cases with a Jaccard below 0.65; ``error``, the mean of 1 - Dice of all cases;
        ``best_retained_error``, the mean error-retention curve of cases ordered by their Dice; for certainty,
        and for agreement if all cases have one, ``caught`` (share of bad cases among the least certain 10, 20
        and 30 %), ``retained_error`` (0 at best) and ``rank_correlation``; with a calibration
        ``calibration_error``, the mean distance of expected and true mean Dice over the groups of
        `reliability_bins`, weighted by their cases.
    """
    dices = [case.dice for case in cases]
    ranked = {"certainty": _doubts(cases, "certainty"), "agreement": _doubts(cases, "agreement")}
    bad = [case.jaccard < JACCARD_THRESHOLD for case in cases]
    found: dict[str, object] = {
        "bad": sum(bad),
        "error": float(1 - np.mean(dices)),
        "best_retained_error": float(retained_error([-value for value in dices], dices).mean()),
    }
    for name, doubts in ranked.items():
        if doubts is not None:
            found[name] = {
                "caught": {str(share): caught_share(doubts, bad, share) for share in SHARES},
                "retained_error": float(retained_error(doubts, dices).mean()),
                "rank_correlation": _rank_correlation(doubts, dices),
            }
    expected = [case.expected_dice for case in cases if case.expected_dice is not None]
    if len(expected) == len(cases):
        groups = reliability_bins(expected, dices)
        found["mean_dice"], found["mean_expected_dice"] = float(np.mean(dices)), float(np.mean(expected))
        found["calibration_error"] = sum(abs(a - b) * count for a, b, count in groups) / len(cases)
    return found


def _doubts(cases: Sequence[JudgedCase], name: str) -> list[float] | None:
    values = [getattr(case, name) for case in cases]
    return None if None in values else [-value for value in values]


def _rank_correlation(doubts: Sequence[float], dices: Sequence[float]) -> float | None:
    """Return Spearman's correlation of certainty and Dice; None if one of them is constant."""
    if len(doubts) < MIN_TO_RANK or len(set(doubts)) == 1 or len(set(dices)) == 1:
        return None
    return float(-spearmanr(doubts, dices).statistic)
