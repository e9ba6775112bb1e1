"""Paired comparisons: variants against the baseline, and evaluations against the first one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from mlffm_segdiff.evaluation.report import DISTANCES, decimals
from mlffm_segdiff.study.differences import MIN_PAIRS, Difference, compare_paired, holm
from mlffm_segdiff.study.report.document import Table
from mlffm_segdiff.study.report.scored_variants import ScoredVariants
from mlffm_segdiff.study.report.wording import counted, number, p_value, signed, verdict
from mlffm_segdiff.study.score_frame import common_seeds, image_table

METHOD = (
    "Differences are paired by image, each image averaged over the seeds that both have. Interval: 95 % BCa "
    "bootstrap over images. Intervals are of the mean difference and are not corrected for the number of "
    "comparisons. p: Wilcoxon signed-rank test with Pratt's zeros, two-sided. Holm: corrected for "
    "all comparisons of a table. Effect: matched-pairs rank-biserial correlation, -1 to 1. The images are "
    "the units: neither the interval nor p includes the variation between training runs; for that see the "
    "difference of each seed. Verdict: by the corrected p at level 0.05, and by whether the seeds agree."
)


@dataclass(frozen=True)
class Comparison:
    """One comparison on one data set.

    Attributes:
        label: Name of the compared variant or evaluation.
        other: Name of the one that it is compared with.
        usual: Name of the one that is compared with by default: the baseline, or the first evaluation.
        dataset: The data set.
        result: Difference, label minus other.
        by_seed: Mean difference of each seed that both have.
        corrected: p-value after Holm's correction.
    """

    label: str
    other: str
    usual: str
    dataset: str
    result: Difference
    by_seed: tuple[float, ...]
    corrected: float = 1.0

    def verdict(self, score: str) -> str:
        """Return a sentence on what the comparison shows for a score."""
        return verdict(self.result, self.corrected, self.by_seed, score not in DISTANCES)


def against_baseline(study: ScoredVariants, score: str, resolution: str) -> list[Comparison]:
    """Compare every variant with the baseline, or with the variant it is against, on each data set.

    Pairs without a finished seed or `MIN_PAIRS` images in common are left out. p-values are corrected
    together.
    """
    return compare_within(study, score, study.by_dataset(resolution))


def compare_within(
    study: ScoredVariants, score: str, parts: Iterable[tuple[str, pd.DataFrame]]
) -> list[Comparison]:
    """Compare as `against_baseline` does, within named parts of the scores: data sets, or groups."""
    return _corrected(
        _compare(rows, score, "variant", (variant, study.reference(variant), study.baseline), part)
        for part, rows in parts
        for variant in study.variants[1:]
    )


def against_first_evaluation(study: ScoredVariants, score: str, resolution: str) -> list[Comparison]:
    """Compare the evaluations of the baseline with the first one on each data set."""
    rows = study.select(variant=study.baseline, resolution=resolution)
    first, *others = study.evaluations
    return _corrected(
        _compare(rows[rows["dataset"] == dataset], score, "evaluation", (evaluation, first, first), dataset)
        for dataset in study.datasets
        for evaluation in others
    )


def names_others(comparisons: Iterable[Comparison]) -> bool:
    """Return whether one is with another than the usual, so that each must say what it is with."""
    return any(one.other != one.usual for one in comparisons)


def small_datasets(study: ScoredVariants) -> list[str]:
    """Return the data sets with fewer than `MIN_PAIRS` scored images, which are too few for tests."""
    return [dataset for dataset, rows in study.by_dataset() if rows["id"].nunique() < MIN_PAIRS]


def comparison_table(
    study: ScoredVariants,
    comparisons: Sequence[Comparison],
    name: str,
    caption: str,
    score: str,
    column: str,
    part: str = "data set",
) -> Table:
    """Tabulate comparisons.

    Args:
        study: The scores. The text names the data set if the study has several.
        comparisons: Comparisons by one score, corrected together.
        name: Stem of the table's files.
        caption: Caption of the table.
        score: Name of the score.
        column: Header of the column of labels.
        part: Header of the column of the parts that were compared within.
    """
    numbers, shown = [], []
    for one in comparisons:
        labels = {column: one.label, "against": one.other, part: one.dataset}
        values, texts = difference_columns(one.result, one.corrected, decimals(score))
        seeds = {"smallest by seed": min(one.by_seed), "largest by seed": max(one.by_seed)}
        numbers.append(
            {**labels, "seeds": len(one.by_seed), **values, **seeds, "verdict": one.verdict(score)}
        )
        by_seed = ", ".join(signed(value, decimals(score)) for value in one.by_seed)
        shown.append({**labels, **texts, "by seed": by_seed, "verdict": one.verdict(score)})
    text = f"{caption} Holm: {counted(len(comparisons), 'comparison')}."
    hidden = [] if names_others(comparisons) else ["against"]
    hidden += ["data set"] if part == "data set" and len(study.datasets) == 1 else []
    return Table(name, text, pd.DataFrame(numbers), pd.DataFrame(shown).drop(columns=hidden))


def difference_columns(
    result: Difference, corrected: float, digits: int = 4
) -> tuple[dict[str, object], dict[str, str]]:
    """Return the columns of a difference as numbers and as text."""
    interval = result.interval
    numbers: dict[str, object] = {
        "images": result.images,
        "difference": interval.mean,
        "low": interval.low,
        "high": interval.high,
        "p": result.p,
        "p, Holm": corrected,
        "effect": result.effect,
    }
    shown = {
        "images": str(result.images),
        "difference": signed(interval.mean, digits),
        "95 % interval": interval.ends(digits, "+"),
        "p": p_value(result.p),
        "p, Holm": p_value(corrected),
        "effect": number(result.effect, 2),
    }
    return numbers, shown


def _compare(
    rows: pd.DataFrame, score: str, by: str, names: tuple[str, str, str], dataset: str
) -> Comparison | None:
    """Compare values of a column, ``names``: one, the other and the usual one. None if too few are common."""
    one, other, usual = names
    both = rows[rows[by].isin([one, other])]
    seeds = common_seeds(both, by)
    if both[by].nunique() < 2 or not seeds:
        return None
    table = image_table(both, score, by)
    if len(table) < MIN_PAIRS:
        return None
    each = [image_table(both[both["seed"] == seed], score, by) for seed in seeds]
    by_seed = tuple(float((pair[one] - pair[other]).mean()) for pair in each)
    result = compare_paired(table[one].to_numpy(), table[other].to_numpy())
    return Comparison(one, other, usual, dataset, result, by_seed)


def _corrected(comparisons: Iterable[Comparison | None]) -> list[Comparison]:
    found = [one for one in comparisons if one is not None]
    corrected = holm([one.result.p for one in found])
    return [replace(one, corrected=p) for one, p in zip(found, corrected, strict=True)]
