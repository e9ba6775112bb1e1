"""Scores of two masks from four pixel counts; formulas of Taha and Hanbury 2015, table 1.

All scores are in [0, 1], 1 is best. `metrics.empty` documents 0/0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from mlffm_segdiff.metrics.empty import ratio

Mask = npt.NDArray[np.bool_]

JACCARD_THRESHOLD = 0.65


@dataclass(frozen=True)
class Counts:
    """Numbers of true and false positive (tp, fp) and negative (tn, fn) pixels; lesion is positive."""

    tp: int
    fp: int
    fn: int
    tn: int

    @property
    def equal(self) -> bool:
        """Whether prediction and truth agree on every pixel."""
        return self.fp == 0 and self.fn == 0

    @property
    def lesion(self) -> int:
        """Lesion pixels of the truth."""
        return self.tp + self.fn

    @property
    def pixels(self) -> int:
        """Pixels counted."""
        return self.tp + self.fp + self.fn + self.tn


def check_pair(predicted: Mask, truth: Mask) -> None:
    """Raise TypeError or ValueError unless both masks are HxW bool of the same, non-empty shape."""
    for name, mask in (("predicted", predicted), ("truth", truth)):
        if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_:
            kind = mask.dtype if isinstance(mask, np.ndarray) else type(mask).__name__
            raise TypeError(f"{name} mask must be an array of bool, such as mask > 0, not of {kind}")
        if mask.ndim != 2 or mask.size == 0:
            raise ValueError(f"{name} mask must be HxW with pixels, not of shape {mask.shape}")
    if predicted.shape != truth.shape:
        raise ValueError(f"masks differ in shape: predicted {predicted.shape}, truth {truth.shape}")


def count_pixels(predicted: Mask, truth: Mask) -> Counts:
    """Count the pixels on which two masks agree or differ.

    Args:
        predicted: Predicted mask, HxW bool.
        truth: Ground truth, HxW bool.

    Returns:
        Numbers of true and false, positive and negative pixels.

    Raises:
        TypeError: A mask is not bool.
        ValueError: A mask is not HxW or has no pixels, or their shapes differ.
    """
    check_pair(predicted, truth)
    tp, found, lesion = (int(np.count_nonzero(mask)) for mask in (predicted & truth, predicted, truth))
    return Counts(tp=tp, fp=found - tp, fn=lesion - tp, tn=truth.size - found - lesion + tp)


def accuracy(counts: Counts) -> float:
    """Return the share of pixels that are correct."""
    return ratio(counts.tp + counts.tn, counts.pixels, counts.equal)


def precision(counts: Counts) -> float:
    """Return the share of the predicted lesion that is lesion."""
    return ratio(counts.tp, counts.tp + counts.fp, counts.equal)


def recall(counts: Counts) -> float:
    """Return the share of the lesion that was found; also called sensitivity."""
    return ratio(counts.tp, counts.tp + counts.fn, counts.equal)


def specificity(counts: Counts) -> float:
    """Return the share of the background that was predicted as background."""
    return ratio(counts.tn, counts.tn + counts.fp, counts.equal)


def dice(counts: Counts) -> float:
    """Return twice the intersection over the sum of both areas; equal to F1."""
    return ratio(2 * counts.tp, 2 * counts.tp + counts.fp + counts.fn, counts.equal)


def jaccard(counts: Counts) -> float:
    """Return intersection over union, dice / (2 - dice)."""
    return ratio(counts.tp, counts.tp + counts.fp + counts.fn, counts.equal)


def thresholded_jaccard(counts: Counts) -> float:
    """Return Jaccard, or 0 below 0.65: the score of ISIC 2018 Task 1 (Codella et al. 2019)."""
    score = jaccard(counts)
    return score if score >= JACCARD_THRESHOLD else 0.0


POOLED_SCORES: Mapping[str, Callable[[Counts], float]] = MappingProxyType(
    {
        "accuracy": accuracy,
        "precision": precision,
        "recall": recall,
        "specificity": specificity,
        "dice": dice,
        "jaccard": jaccard,
    }
)


def total(cases: Iterable[Counts]) -> Counts:
    """Sum the pixel counts of cases, for pooled scores."""
    found = list(cases)
    return Counts(
        tp=sum(case.tp for case in found),
        fp=sum(case.fp for case in found),
        fn=sum(case.fn for case in found),
        tn=sum(case.tn for case in found),
    )
