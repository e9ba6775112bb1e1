"""Whether a model knows which of its masks are bad: its certainty against the Dice that came of it."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr

from mlffm_segdiff.data.atomic import atomic_write
from mlffm_segdiff.evaluation.model import SegmentedCase
from mlffm_segdiff.evaluation.rows import DECIMALS, EvaluatedCase
from mlffm_segdiff.metrics.certainty import Calibration, soft_dice_confidence
from mlffm_segdiff.metrics.overlap import JACCARD_THRESHOLD
from mlffm_segdiff.segmenters.at_source import THRESHOLD

Numbers = npt.NDArray[np.float64]

SHARES = (0.1, 0.2, 0.3)
BINS = 10
FEWEST_TO_RANK = 3


@dataclass(frozen=True)
class JudgedCase:
    """What was known of a mask before, and what came of it.

    dice, jaccard: at source size. certainty: soft Dice confidence. expected_dice: by the calibration, if
    there is one. agreement: of the samples, if there are several.
    """

    id: str
    dice: float
    jaccard: float
    certainty: float
    expected_dice: float | None = None
    agreement: float | None = None


def judge_case(
    segmented: SegmentedCase, evaluated: EvaluatedCase, calibration: Calibration | None
) -> JudgedCase:
    """Return an answer with its scores at source size."""
    probability = segmented.probability
    certainty = soft_dice_confidence(probability, probability >= THRESHOLD)
    return JudgedCase(
        evaluated.id,
        evaluated.source.dice,
        evaluated.source.jaccard,
        certainty,
        calibration.expected_dice(certainty) if calibration else None,
        segmented.agreement,
    )


def caught_share(doubt: Sequence[float], bad: Sequence[bool], share: float) -> float | None:
    """Return the share of bad cases among the `share` of cases with the most doubt; None where none is bad.

    Cases of equal doubt count by their order.
    """
    order = np.argsort(-np.asarray(doubt), kind="stable")[: round(share * len(doubt))]
    total = np.count_nonzero(bad)
    return float(np.count_nonzero(np.asarray(bad)[order]) / total) if total else None


def retained_error(doubt: Sequence[float], dices: Sequence[float]) -> Numbers:
    """Return the mean of 1 - Dice of the 1, 2, .. n cases with the least doubt (error-retention curve)."""
    errors = 1 - np.asarray(dices, dtype=np.float64)[np.argsort(doubt, kind="stable")]
    mean: Numbers = np.cumsum(errors) / np.arange(1, len(errors) + 1)
    return mean


def reliability_bins(expected: Sequence[float], dices: Sequence[float]) -> list[tuple[float, float, int]]:
    """Return mean expected Dice, mean Dice and number of cases of BINS groups of like size, rising."""
    order = np.argsort(expected, kind="stable")
    groups = [group for group in np.array_split(order, BINS) if len(group)]
    every = (np.asarray(expected), np.asarray(dices))
    return [(*(float(values[group].mean()) for values in every), len(group)) for group in groups]  # type: ignore[misc]


def quality_summary(cases: Sequence[JudgedCase]) -> dict[str, object]:
    """Return what the certainty of the cases was worth, as plain values for summary.json.

    bad: cases with a Jaccard below 0.65. caught: share of them among the least certain 10, 20 and 30 %.
    error: mean of 1 - Dice of all cases; retained_error: the mean of its error-retention curve, 0 at best;
    best_retained_error: of cases put in order by their Dice. calibration_error: mean distance of expected
    and true mean Dice over the groups of `reliability_bins`, weighted by their cases.
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


def write_judged(cases: Sequence[JudgedCase], path: Path) -> None:
    """Write the cases as CSV, whole or not at all. Raises UserError where it cannot be written."""
    with atomic_write(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(JudgedCase)], lineterminator="\n")
        writer.writeheader()
        for case in cases:
            values = asdict(case).items()
            writer.writerow({k: round(v, DECIMALS) if isinstance(v, float) else v for k, v in values})


def _doubts(cases: Sequence[JudgedCase], name: str) -> list[float] | None:
    values = [getattr(case, name) for case in cases]
    return None if None in values else [-value for value in values]


def _rank_correlation(doubts: Sequence[float], dices: Sequence[float]) -> float | None:
    """Return Spearman's correlation of certainty and Dice; None where one of them is all alike."""
    if len(doubts) < FEWEST_TO_RANK or len(set(doubts)) == 1 or len(set(dices)) == 1:
        return None
    return float(-spearmanr(doubts, dices).statistic)
