"""The sections about properties of the images: does a score depend on size, contrast or skin tone?"""

from __future__ import annotations

import re
from collections.abc import Sequence

import pandas as pd

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.metrics.intervals import mean_interval
from mlffm_segdiff.study.correlation import Correlation, rank_correlation
from mlffm_segdiff.study.differences import LEAST_PAIRS, holm
from mlffm_segdiff.study.report.document import Document, Table
from mlffm_segdiff.study.report.figures.areas import area_table
from mlffm_segdiff.study.report.figures.trends import trend_figure
from mlffm_segdiff.study.report.image_properties import (
    ImageProperty,
    in_thirds,
    measured_properties,
    skin_tones,
)
from mlffm_segdiff.study.report.scored_variants import ScoredVariants
from mlffm_segdiff.study.report.study_results import StudyResults
from mlffm_segdiff.study.report.wording import ends, number, p_value
from mlffm_segdiff.study.score_frame import image_means

DEFINITIONS = (
    "Lesion size is the share of the image in the ground truth mask. Contrast is the CIEDE2000 colour "
    "difference between the medians of the lesion and of the ring of skin around it. Skin tone is the "
    "individual typology angle, arctan((L* - 50) / b*) of the skin outside the ground truth mask, in CIELAB "
    "(Chardon et al. 1991), above 90 degrees where b* is negative, from means over the values within one "
    "standard deviation, as in Kinyanjui et al. 2020. It depends on camera, light and white balance: it is "
    "a proxy within one data set, not a person's skin type."
)


def add_properties(study: StudyResults, document: Document, given: Sequence[ImageProperty] = ()) -> None:
    """Add scores by lesion size, contrast and skin tone, and by further properties.

    Args:
        study: The study. Contrast and skin tone are left out if its images were never available.
        document: The report.
        given: Further properties, by id of the image.
    """
    document.heading("By lesion size, contrast and skin tone")
    document.text(DEFINITIONS)
    for dataset, own in study.by_dataset():
        found = [_size(own), *given]
        try:
            found += _measured(study, dataset)
        except UserError as error:
            document.text(f"Contrast and skin tone are left out for {dataset}: {error}")
        _add(study, document, dataset, found)


def add_sizes(study: ScoredVariants, document: Document) -> None:
    """Add scores by lesion size only."""
    document.heading("By lesion size")
    for dataset, own in study.by_dataset():
        _add(study, document, dataset, [_size(own)])


def _size(rows: pd.DataFrame) -> ImageProperty:
    return in_thirds("lesion size", "true lesion area, % of the image", area_table(rows)["true"])


def _measured(study: StudyResults, dataset: str) -> list[ImageProperty]:
    measured = measured_properties(study, dataset)
    label = "contrast of lesion and skin, CIEDE2000"
    return [in_thirds("contrast", label, measured["contrast"]), skin_tones(measured["typology_angle"])]


def _add(
    study: ScoredVariants, document: Document, dataset: str, properties: Sequence[ImageProperty]
) -> None:
    scores = image_means(study.main_rows().query("dataset == @dataset"), "jaccard")
    known = [one for one in properties if len(one.groups.index.intersection(scores.index)) >= LEAST_PAIRS]
    for one in known:
        if one.values is not None:
            stem = re.sub(r"\W+", "_", f"{one.name}_{dataset}")
            document.figure(stem, trend_figure(one.values, scores, one.label), _caption(study, one, dataset))
    if known:
        document.table(_group_table(study, dataset, scores, known))
        document.table(_correlation_table(study, dataset, scores, known))


def _caption(study: ScoredVariants, one: ImageProperty, dataset: str) -> str:
    return (
        f"Jaccard by {one.name} on {dataset}. Above: {study.baseline!r}, each image over seeds, and means of "
        f"equally large groups of images at the group's median. Below: how much the other {study.noun}s "
        "differ from these means."
    )


def _group_table(
    study: ScoredVariants, dataset: str, scores: pd.DataFrame, properties: Sequence[ImageProperty]
) -> Table:
    """Tabulate the baseline's mean scores by group; the numbers have the means of all variants."""
    first = str(scores.columns[0])
    numbers, shown = [], []
    for one in properties:
        for group, ids in one.groups.groupby(one.groups, observed=True).groups.items():
            rows = scores.loc[scores.index.intersection(ids)]
            if rows.empty:
                continue
            interval = mean_interval(rows[first].to_numpy())
            labels = {"property": one.label, "group": str(group), "images": len(rows)}
            ends_ = {"low": interval.low, "high": interval.high}
            numbers.append({**labels, **ends_, **rows.mean().to_dict()})
            shown.append({**labels, first: number(interval.mean), "95 % interval": ends(interval)})
    caption = (
        f"Mean Jaccard per image of {first!r} by group on {dataset}, each image averaged over seeds, with "
        f"95 % BCa intervals over images; the CSV has the means of all {study.noun}s."
    )
    return Table(f"properties_{dataset}", caption, pd.DataFrame(numbers), pd.DataFrame(shown))


def _correlation_table(
    study: ScoredVariants, dataset: str, scores: pd.DataFrame, properties: Sequence[ImageProperty]
) -> Table:
    """Tabulate the rank correlation of each number with the baseline's score and with the differences."""
    first, *others = map(str, scores.columns)
    sides = {first: ("", scores[first])}
    for variant in others:
        reference = study.reference(variant)
        if reference in scores:
            sides[variant] = (reference, scores[variant] - scores[reference])
    found: list[tuple[dict[str, str], Correlation]] = []
    for one in properties:
        if one.values is not None:
            for variant, (reference, side) in sides.items():
                pairs = pd.concat([one.values, side], axis=1, join="inner").dropna().to_numpy(float)
                labels = {"property": one.label, study.noun: variant, "minus": reference}
                found.append((labels, rank_correlation(pairs[:, 0], pairs[:, 1])))
    corrected = holm([result.p for _, result in found])
    numbers = [
        {**labels, **vars(result), "p, Holm": p} for (labels, result), p in zip(found, corrected, strict=True)
    ]
    shown = [
        {
            **labels,
            "images": result.images,
            "Spearman's rho": number(result.rho, 2, "+"),
            "95 % interval": f"{number(result.low, 2, '+')} to {number(result.high, 2, '+')}",
            "p, Holm": p_value(p),
        }
        for (labels, result), p in zip(found, corrected, strict=True)
    ]
    caption = (
        f"Rank correlation of properties of the images with the Jaccard of {first!r} on {dataset}, and with "
        f"the difference of each other {study.noun} from the one in the column minus. Interval: Fisher's z "
        f"with the variance of Bonett and Wright (2000). Holm: corrected for all rows."
    )
    return Table(f"correlations_{dataset}", caption, pd.DataFrame(numbers), pd.DataFrame(shown))
