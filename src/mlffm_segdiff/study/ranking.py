"""Ranks several models on the same images: Friedman's test, Nemenyi's test, critical difference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scikit_posthocs import posthoc_nemenyi_friedman
from scipy.stats import friedmanchisquare, studentized_range

from mlffm_segdiff.metrics.intervals import TIE_DIGITS
from mlffm_segdiff.study.differences import LEVEL

MIN_MODELS = 3
"""Minimum number of models that are ranked; two are compared by Wilcoxon's test."""


@dataclass(frozen=True)
class Ranking:
    """Models ranked on each image (Demsar 2006).

    Attributes:
        images: Number of images.
        ranks: Mean rank of each model, sorted; 1 is best.
        statistic: Friedman's chi-squared.
        p: p-value of Friedman's test.
        nemenyi: p-value of Nemenyi's test for each pair of models.
        critical_difference: Mean ranks further apart than this differ at `LEVEL`.
    """

    images: int
    ranks: pd.Series
    statistic: float
    p: float
    nemenyi: pd.DataFrame
    critical_difference: float


def rank_models(table: pd.DataFrame, higher_is_better: bool = True) -> Ranking:
    """Rank models on each image.

    Args:
        table: One row per image, one column per model, no missing values.
        higher_is_better: Whether rank 1 is the highest score.

    Returns:
        The ranking. If the models tie on every image, the statistic is 0 and p is 1.

    Raises:
        ValueError: For fewer than three models or two images.
    """
    images, models = table.shape
    if models < MIN_MODELS or images < 2:
        raise ValueError(f"{models} models on {images} images cannot be ranked; three and two are needed")
    scores = table.round(TIE_DIGITS) * (1 if higher_is_better else -1)
    ranks = scores.rank(axis=1, ascending=False).mean().sort_values(kind="stable")
    tied = (scores.nunique(axis=1) == 1).all()
    statistic, p = (0.0, 1.0) if tied else friedmanchisquare(*scores.to_numpy().T)
    nemenyi = posthoc_nemenyi_friedman(scores.to_numpy())
    nemenyi.index = nemenyi.columns = table.columns
    return Ranking(images, ranks, float(statistic), float(p), nemenyi, critical_difference(models, images))


def critical_difference(models: int, images: int, level: float = LEVEL) -> float:
    """Return q sqrt(k (k + 1) / (6 N)) for k models and N images (Demsar 2006, section 3.2.2)."""
    q = float(studentized_range.ppf(1 - level, models, np.inf)) / np.sqrt(2)
    return float(q * np.sqrt(models * (models + 1) / (6 * images)))
