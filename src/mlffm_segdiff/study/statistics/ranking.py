"""Many models on the same images: Friedman's test, Nemenyi's, and the critical difference (Demsar 2006)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scikit_posthocs import posthoc_nemenyi_friedman
from scipy.stats import friedmanchisquare, studentized_range

from mlffm_segdiff.study.statistics.paired import LEVEL

DECIMALS = 9
"""Scores are rounded to so many before they are ranked: sums in another order must tie."""


@dataclass(frozen=True)
class Ranking:
    """Models ranked on each image. ranks: mean rank by model, 1 is best, sorted.

    statistic, p: Friedman's chi-squared and its p-value. nemenyi: p by pair of models.
    critical_difference: mean ranks further apart than this differ at level 0.05.
    """

    images: int
    ranks: pd.Series
    statistic: float
    p: float
    nemenyi: pd.DataFrame
    critical_difference: float


def rank_models(table: pd.DataFrame, higher_is_better: bool = True) -> Ranking:
    """Rank models on images. table: one row an image, one column a model, no gaps.

    Where every image ties all models, nothing differs: statistic 0 and p 1. Raises ValueError for fewer than
    three models or two images.
    """
    images, models = table.shape
    if models < 3 or images < 2:
        raise ValueError(f"{models} models on {images} images cannot be ranked; three and two are needed")
    scores = table.round(DECIMALS) * (1 if higher_is_better else -1)
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
