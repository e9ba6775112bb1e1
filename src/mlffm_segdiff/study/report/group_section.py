"""The section about groups of images, such as sites, lesion sizes or skin tones."""

from __future__ import annotations

from itertools import product

import pandas as pd

from mlffm_segdiff.evaluation.report import CONTOUR_SCORES, DISTANCES, SCORE_LABELS
from mlffm_segdiff.metrics.intervals import mean_interval
from mlffm_segdiff.study.differences import LEAST_PAIRS
from mlffm_segdiff.study.report.comparisons import compare_within, comparison_table
from mlffm_segdiff.study.report.document import Document, Table
from mlffm_segdiff.study.report.figures.trends import dataset_figure
from mlffm_segdiff.study.report.score_tables import WHERE
from mlffm_segdiff.study.report.scored_variants import ScoredVariants
from mlffm_segdiff.study.report.wording import ends, number
from mlffm_segdiff.study.score_frame import image_means

SCORES = ("jaccard", "dice", *CONTOUR_SCORES)
WITH_ENDS = ("jaccard", "dice")
"""Scores whose interval the page shows; the CSV has all of them."""


def add_groups(study: ScoredVariants, groups: pd.Series, document: Document) -> None:
    """Add scores and differences by group.

    Args:
        study: The scores of one data set.
        groups: Group by id of the image; others are left out.
        document: The report.
    """
    rows = study.main_rows()
    rows = rows.assign(group=rows["id"].map(groups))
    left_out = rows[rows["group"].isna()]["id"].nunique()
    parts = {str(name): own for name, own in rows.dropna(subset="group").groupby("group")}
    document.heading("By group")
    document.table(_group_table(study, parts, left_out))
    tables = {name: image_means(own, "jaccard") for name, own in parts.items()}
    seeds = rows.groupby(["variant", "group", "seed"], sort=False)["jaccard"].mean().reset_index()
    document.figure(
        "groups",
        dataset_figure(tables, seeds.rename(columns={"group": "dataset"}), study.variants),
        "Mean Jaccard per image by group with 95 % BCa intervals over images; small dots are seeds.",
    )
    _add_differences(study, parts, document)


def _add_differences(study: ScoredVariants, parts: dict[str, pd.DataFrame], document: Document) -> None:
    tested = {name: own for name, own in parts.items() if own["id"].nunique() >= LEAST_PAIRS}
    found = compare_within(study, "jaccard", tested.items())
    if found:
        caption = (
            f"Each {study.noun} against {study.baseline!r} within each group: difference in Jaccard per "
            f"image, {WHERE['source']}."
        )
        document.table(comparison_table(found, "group_differences", caption, "jaccard", study.noun, "group"))
    small = [name for name in parts if name not in tested]
    if small:
        document.text(
            f"Left out of the tests, because of fewer than {LEAST_PAIRS} images: {', '.join(small)}."
        )


def _group_table(study: ScoredVariants, parts: dict[str, pd.DataFrame], left_out: int) -> Table:
    numbers, shown = [], []
    for name, variant in product(parts, study.variants):
        own = parts[name][parts[name]["variant"] == variant]
        labels = {"group": name, study.noun: variant, "images": own["id"].nunique()}
        values: dict[str, object] = {}
        texts: dict[str, str] = {}
        for score in SCORES:
            interval = mean_interval(image_means(own, score)[variant].to_numpy())
            values |= {score: interval.mean, f"{score}, low": interval.low, f"{score}, high": interval.high}
            mean = number(interval.mean, 2 if score in DISTANCES else 4)
            texts[SCORE_LABELS[score]] = f"{mean} ({ends(interval)})" if score in WITH_ENDS else mean
        numbers.append({**labels, **values})
        shown.append({**labels, **texts})
    caption = (
        f"Scores by group on {study.subject}, {WHERE['source']}: means over images, each averaged over seeds "
        "first, with 95 % BCa intervals over images."
    )
    if left_out:
        caption += f" Images without a group are left out: {left_out}."
    return Table("groups", caption, pd.DataFrame(numbers), pd.DataFrame(shown))
