"""Tables of paired comparisons: variants against the baseline, and ways to evaluate against the first way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from mlffm_segdiff.study.report.study import Studied
from mlffm_segdiff.study.report.table import Table, without_constant
from mlffm_segdiff.study.report.words import counted, ends, number, p_value, signed, verdict
from mlffm_segdiff.study.scores import common_seeds, image_table
from mlffm_segdiff.study.statistics.paired import Paired, compare_paired, holm

LOWER_IS_BETTER = ("hd95", "hd95_percent", "assd")
HOW = (
    "Differences are paired by image, each image averaged over the seeds that both have. Interval: 95 % BCa "
    "bootstrap over images. p: Wilcoxon signed-rank test with Pratt's zeros, two-sided. Holm: corrected for "
    "all comparisons of a table. Effect: matched-pairs rank-biserial correlation, -1 to 1. The images are "
    "the units: neither interval nor p holds what other seeds of the training would give; for that see the "
    "difference of each seed. Verdict: of the corrected p at level 0.05, and of whether the seeds agree."
)


@dataclass(frozen=True)
class Comparison:
    """One comparison on one data set. by_seed: the mean difference of each seed that both have.

    label: what is compared, a variant or an evaluation. other: with what. corrected: p after Holm.
    """

    label: str
    other: str
    dataset: str
    result: Paired
    by_seed: list[float]
    corrected: float


def against_baseline(study: Studied, score: str, resolution: str) -> list[Comparison]:
    """Compare every variant with the baseline, or what it is against, p-values corrected together.

    Where the two have no finished seed in common there is no comparison.
    """
    found = [
        (variant, study.against(variant), dataset, *pair)
        for dataset, rows in study.by_dataset(resolution)
        for variant in study.variants
        if variant != study.baseline
        for pair in _pairs(rows, score, "variant", variant, study.against(variant))
    ]
    return _corrected(found)


def against_first_evaluation(study: Studied, score: str, resolution: str) -> list[Comparison]:
    """Compare the baseline's evaluations with the one that leads on each data set."""
    rows = study.select(variant=study.baseline, resolution=resolution)
    found = [
        (evaluation, study.evaluation, dataset, *pair)
        for dataset in study.datasets
        for evaluation in study.evaluations[1:]
        for pair in _pairs(
            rows[rows["dataset"] == dataset], score, "evaluation", evaluation, study.evaluation
        )
    ]
    return _corrected(found)


def comparison_table(
    comparisons: Sequence[Comparison], name: str, caption: str, score: str, column: str
) -> Table:
    """Return the comparisons as a table. column: what their labels are. score: which was compared."""
    better = score not in LOWER_IS_BETTER
    numbers = pd.DataFrame([_numbers(one, column, better) for one in comparisons])
    shown = pd.DataFrame([_shown(one, column, better) for one in comparisons])
    text = f"{caption} Holm: {counted(len(comparisons), 'comparison')}."
    return Table(name, text, numbers, without_constant(shown, ("against", "data set")))


def _pairs(
    rows: pd.DataFrame, score: str, by: str, one: str, other: str
) -> Iterator[tuple[Paired, list[float]]]:
    """Yield the comparison of two variants or evaluations, if they have a seed and an image in common."""
    both = rows[rows[by].isin([one, other])]
    if both[by].nunique() < 2 or not common_seeds(both, by):
        return
    table = image_table(both, score, by)
    if not len(table):
        return
    by_seed = [
        float((pair[one] - pair[other]).mean())
        for seed in common_seeds(both, by)
        for pair in [image_table(both[both["seed"] == seed], score, by)]
    ]
    yield compare_paired(table[one].to_numpy(), table[other].to_numpy()), by_seed


def _corrected(found: Sequence[tuple[str, str, str, Paired, list[float]]]) -> list[Comparison]:
    corrected = holm([result.p for _, _, _, result, _ in found])
    return [Comparison(*one, p) for one, p in zip(found, corrected, strict=True)]


def _numbers(one: Comparison, column: str, higher_is_better: bool) -> dict[str, object]:
    difference = one.result.difference
    return {
        column: one.label,
        "against": one.other,
        "data set": one.dataset,
        "images": one.result.images,
        "seeds": len(one.by_seed),
        "difference": difference.mean,
        "low": difference.low,
        "high": difference.high,
        "p": one.result.p,
        "p, Holm": one.corrected,
        "effect": one.result.effect,
        "smallest by seed": min(one.by_seed),
        "largest by seed": max(one.by_seed),
        "verdict": verdict(one.result, one.corrected, one.by_seed, higher_is_better),
    }


def _shown(one: Comparison, column: str, higher_is_better: bool) -> dict[str, str]:
    return {
        column: one.label,
        "against": one.other,
        "data set": one.dataset,
        "images": str(one.result.images),
        "difference": signed(one.result.difference.mean),
        "95 % interval": ends(one.result.difference, "+"),
        "p": p_value(one.result.p),
        "p, Holm": p_value(one.corrected),
        "effect": number(one.result.effect, 2),
        "by seed": ", ".join(signed(value) for value in one.by_seed),
        "verdict": verdict(one.result, one.corrected, one.by_seed, higher_is_better),
    }
