"""How much a leaking split inflates scores: one source under two splits, such as by image and by lesion."""

from __future__ import annotations

from itertools import combinations

import pandas as pd

from mlffm_segdiff.study.differences import MIN_PAIRS, Difference, compare_paired, compare_unpaired, holm
from mlffm_segdiff.study.report.comparisons import difference_columns
from mlffm_segdiff.study.report.document import Table
from mlffm_segdiff.study.report.study_results import StudyResults
from mlffm_segdiff.study.report.wording import number
from mlffm_segdiff.study.score_frame import common_seeds, image_means

CAPTION = (
    "The same source under two splits: Jaccard at source size on the first split's test part minus that on "
    "the second's, each image averaged over the seeds that both have. If both test the same images, they are "
    "paired (BCa bootstrap, Wilcoxon's signed-rank test, effect: rank-biserial correlation). If the images "
    "differ, nothing is paired (BCa bootstrap of both, Mann-Whitney U test, Cliff's delta), and images that "
    "are in both count as independent. If the first split puts images of one lesion into training and test "
    "and the second does not, the difference is how much the leak inflates scores; with different images it "
    "also includes their difficulty. Holm: corrected for all rows."
)


def split_pairs(study: StudyResults) -> list[tuple[str, str]]:
    """Return the pairs of data sets that have the same source and different splits.

    In a pair, the data set with its own split list comes first.
    """
    data = {one.cell.dataset: (one.cell.recipe.data, one.cell.split) for one in study.cells}
    order = sorted(data, key=lambda name: data[name][0].split is None)
    return [
        (one, other)
        for one, other in combinations(order, 2)
        if data[one][0].sources == data[other][0].sources and data[one][1] != data[other][1]
    ]


def split_table(study: StudyResults) -> Table | None:
    """Tabulate each variant's scores under one split against the other; None if no source has two."""
    found = [
        (variant, *pair, *compared)
        for variant in study.variants
        for pair in split_pairs(study)
        if (compared := _compare(study, variant, pair)) is not None
    ]
    if not found:
        return None
    numbers, shown = [], []
    corrected = holm([result.p for *_, result in found])
    for (variant, first, second, images, means, result), p in zip(found, corrected, strict=True):
        labels = {"variant": variant, "first split": first, "second split": second, "test images": images}
        jaccards = {"Jaccard, first": means[0], "Jaccard, second": means[1]}
        values, texts = difference_columns(result, p)
        numbers.append({**labels, **jaccards, **values})
        shown.append({**labels, **{name: number(mean) for name, mean in jaccards.items()}, **texts})
    return Table("splits", CAPTION, pd.DataFrame(numbers), pd.DataFrame(shown))


def _compare(
    study: StudyResults, variant: str, pair: tuple[str, str]
) -> tuple[str, tuple[float, float], Difference] | None:
    """Return whether the images are the same or others, the means, and their difference; None if too few."""
    rows = study.main_rows()
    both = rows[(rows["variant"] == variant) & rows["dataset"].isin(pair)]
    kept = both[both["seed"].isin(common_seeds(both, "dataset"))]
    if kept["dataset"].nunique() < 2:
        return None
    first, second = (
        image_means(kept[kept["dataset"] == name], "jaccard")[variant].sort_index() for name in pair
    )
    if min(len(first), len(second)) < MIN_PAIRS:
        return None
    same = first.index.equals(second.index)
    compare = compare_paired if same else compare_unpaired
    means = (float(first.mean()), float(second.mean()))
    shared = len(first.index.intersection(second.index))
    images = "same" if same else f"other ({shared} in both)" if shared else "other"
    return images, means, compare(first.to_numpy(), second.to_numpy())
