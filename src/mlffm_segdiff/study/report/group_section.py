"""The section about groups of images by their properties, such as lesion size or site."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

import pandas as pd

from mlffm_segdiff.evaluation.report import CONTOUR_SCORES, SCORE_LABELS, decimals
from mlffm_segdiff.metrics.intervals import mean_interval
from mlffm_segdiff.study.differences import MIN_PAIRS
from mlffm_segdiff.study.report.comparisons import compare_within, comparison_table
from mlffm_segdiff.study.report.document import Document, Table
from mlffm_segdiff.study.report.figures.trends import dataset_figure
from mlffm_segdiff.study.report.given_properties import given_properties
from mlffm_segdiff.study.report.image_properties import SIZE, ImageProperty, file_stem
from mlffm_segdiff.study.report.property_sections import (
    SIZE_DEFINITION,
    add_correlations,
    add_trend,
    lesion_sizes,
    with_enough_images,
)
from mlffm_segdiff.study.report.score_tables import WHERE
from mlffm_segdiff.study.report.scored_variants import ScoredVariants
from mlffm_segdiff.study.report.wording import number
from mlffm_segdiff.study.score_frame import image_means

SCORES = ("jaccard", "dice", *CONTOUR_SCORES)
WITH_ENDS = ("jaccard", "dice")
"""Scores whose interval the page shows; the CSV has all of them."""


def add_groups(study: ScoredVariants, given: Mapping[str, pd.Series], document: Document) -> None:
    """Add scores, differences and correlations by lesion size and by given properties.

    Args:
        study: The scores of one data set.
        given: Further properties, from `read_properties`.
        document: The report.
    """
    ((dataset, rows),) = study.by_dataset()
    scores = image_means(rows, "jaccard")
    document.heading(f"By {', '.join([SIZE, *given])}")
    document.text(SIZE_DEFINITION)
    properties = [lesion_sizes(rows), *given_properties(given, scores.index)]
    known = with_enough_images(document, dataset, scores, properties)
    for one in known:
        document.heading(f"Groups by {one.name}", 3)
        _add_property(study, rows, one, document)
        add_trend(study, document, dataset, scores, one)
    if known:
        document.heading("Correlations", 3)
        add_correlations(study, document, dataset, scores, known, [SIZE])


def _add_property(study: ScoredVariants, rows: pd.DataFrame, one: ImageProperty, document: Document) -> None:
    groups = one.groups.astype(str)
    rows = rows.assign(group=rows["id"].map(groups))
    left_out = rows[rows["group"].isna()]["id"].nunique()
    known = dict(list(rows.dropna(subset="group").groupby("group")))
    parts = {str(name): known[name] for name in one.groups.cat.categories if name in known}
    document.table(_group_table(study, one.name, parts, left_out))
    if one.values is None:
        tables = {name: image_means(own, "jaccard") for name, own in parts.items()}
        seeds = rows.groupby(["variant", "group", "seed"], sort=False)["jaccard"].mean().reset_index()
        document.figure(
            f"groups_{file_stem(one.name)}",
            dataset_figure(tables, seeds.rename(columns={"group": "dataset"}), study.variants),
            f"Mean Jaccard per image by {one.name}, with 95 % BCa intervals over images; small dots are "
            "seeds.",
        )
    _add_differences(study, one.name, parts, document)


def _add_differences(
    study: ScoredVariants, name: str, parts: dict[str, pd.DataFrame], document: Document
) -> None:
    found = compare_within(study, "jaccard", parts.items())
    if found:
        caption = (
            f"Each {study.noun} against {study.baseline!r} within each group of {name}: difference in "
            f"Jaccard per image, {WHERE['source']}."
        )
        title = f"group_differences_{file_stem(name)}"
        document.table(comparison_table(study, found, title, caption, "jaccard", study.noun, "group"))
    small = [group for group, own in parts.items() if own["id"].nunique() < MIN_PAIRS]
    if small:
        document.text(f"Left out of the tests, because of fewer than {MIN_PAIRS} images: {', '.join(small)}.")


def _group_table(study: ScoredVariants, name: str, parts: dict[str, pd.DataFrame], left_out: int) -> Table:
    numbers, shown = [], []
    for group, variant in product(parts, study.variants):
        own = parts[group][parts[group]["variant"] == variant]
        labels = {"group": group, study.noun: variant, "images": own["id"].nunique()}
        values: dict[str, object] = {}
        texts: dict[str, str] = {}
        for score in SCORES:
            interval = mean_interval(image_means(own, score)[variant].to_numpy())
            values |= {score: interval.mean, f"{score}, low": interval.low, f"{score}, high": interval.high}
            mean = number(interval.mean, decimals(score))
            texts[SCORE_LABELS[score]] = f"{mean} ({interval.ends()})" if score in WITH_ENDS else mean
        numbers.append({**labels, **values})
        shown.append({**labels, **texts})
    caption = (
        f"Scores by {name} on {study.subject}, {WHERE['source']}: means over images, each averaged over "
        "seeds first, with 95 % BCa intervals over images."
    )
    if left_out:
        caption += f" Images without a value are left out: {left_out}."
    return Table(f"groups_{file_stem(name)}", caption, pd.DataFrame(numbers), pd.DataFrame(shown))
