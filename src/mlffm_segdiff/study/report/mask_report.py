"""Writes the report of a comparison of mask folders."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from mlffm_segdiff.evaluation.figures import OutlinedCase
from mlffm_segdiff.study.report import figure_sections as figures
from mlffm_segdiff.study.report import score_sections as scores
from mlffm_segdiff.study.report.comparisons import Comparison
from mlffm_segdiff.study.report.document import Document, Table
from mlffm_segdiff.study.report.group_section import add_groups
from mlffm_segdiff.study.report.scored_variants import ScoredVariants
from mlffm_segdiff.study.report.wording import number
from mlffm_segdiff.study.score_frame import image_means

WORST_OF_EACH = 5

Outline = Callable[[Sequence[str]], Mapping[str, Sequence[OutlinedCase]]]
"""Returns the outlines of images by method."""


def write_mask_report(
    study: ScoredVariants,
    compared: Sequence[Comparison],
    folder: Path,
    notes: Sequence[str],
    outline: Outline,
    properties: Mapping[str, pd.Series],
) -> list[str]:
    """Write report.md, report.html, tables/ and figures/ of a comparison on one data set.

    Tests are left out for fewer than `MIN_PAIRS` images, the ranking also for fewer than `MIN_MODELS`
    methods; the report says so.

    Args:
        study: Scores; the methods are its variants.
        compared: Comparisons of the study, see `main_comparisons`.
        folder: Folder of the report.
        notes: Notes on the data, one sentence each.
        outline: Makes the outlines of the worst cases.
        properties: Further properties of the images, from `read_properties`.

    Returns:
        The files written, relative to ``folder``.

    Raises:
        UserError: A file cannot be written.
    """
    (dataset,) = study.datasets
    images = study.scores["id"].nunique()
    document = Document(folder, dataset, "the command at the top of this page")
    document.heading("Comparison of masks", 1)
    document.text(
        f"{len(study.variants)} methods on {images} images; baseline {study.baseline!r}. Each folder of a "
        "method is one run, which the tables call a seed. This page is written by:"
    )
    document.text(study.command)
    document.points(*notes)
    scores.add_verdicts(study, compared, document)
    scores.add_scores(study, document)
    scores.add_ranking(study, document)
    scores.add_baseline_comparisons(study, compared, document)
    figures.add_areas(study, document)
    add_groups(study, properties, document)
    _add_worst(study, document, outline)
    document.write()
    return document.files


def _add_worst(study: ScoredVariants, document: Document, outline: Outline) -> None:
    (dataset,) = study.datasets
    means = image_means(study.main_rows(), "jaccard")
    document.heading("Worst cases")
    figures.add_worst_figure(document, dataset, outline(figures.worst_ids(means)), study.baseline)
    rows = [
        {f"worst of {study.noun}": name, "id": key, **means.loc[key]}
        for name in study.variants
        for key in means[name].sort_values(kind="stable").index[:WORST_OF_EACH]
    ]
    numbers = pd.DataFrame(rows)
    shown = numbers.copy()
    shown[study.variants] = numbers[study.variants].map(number)
    caption = (
        f"The {WORST_OF_EACH} cases with the lowest Jaccard of each {study.noun}, with the score of all."
    )
    document.table(Table("worst", caption, numbers, shown))
