"""The sections about properties of the images: does a score depend on size, contrast or skin tone?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import product

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
CONTROLS = ("lesion size", "contrast", "skin tone")
INTERVAL = (
    "Interval: Fisher's z with the variance of Bonett and Wright (2000). Holm: corrected for all tests of "
    "the table."
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
        found = [lesion_sizes(own)]
        try:
            found += measured_properties(study, dataset)
        except UserError as error:
            document.text(f"Contrast and skin tone are left out for {dataset}: {error}")
        _add(study, document, dataset, [*found, *given])


def add_sizes(study: ScoredVariants, document: Document) -> None:
    """Add scores by lesion size only."""
    document.heading("By lesion size")
    for dataset, own in study.by_dataset():
        _add(study, document, dataset, [lesion_sizes(own)])


def lesion_sizes(rows: pd.DataFrame) -> ImageProperty:
    """Return the true lesion sizes of the rows' images, one data set at source size."""
    return in_thirds("lesion size", "true lesion area, % of the image", area_table(rows)["true"])


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
        document.table(group_table(study, dataset, scores, known))
        document.table(correlation_table(dataset, scores.iloc[:, 0], known))
        differences = _difference_table(study, dataset, scores, known)
        if differences is not None:
            document.table(differences)


def _caption(study: ScoredVariants, one: ImageProperty, dataset: str) -> str:
    return (
        f"Jaccard by {one.name} on {dataset}. Above: {study.baseline!r}, each image over seeds, and means of "
        f"equally large groups of images at the group's median. Below: how much the other {study.noun}s "
        "differ from these means."
    )


def group_table(
    study: ScoredVariants, dataset: str, scores: pd.DataFrame, properties: Sequence[ImageProperty]
) -> Table:
    """Tabulate the baseline's mean scores by group; the numbers have the means of all variants.

    Args:
        study: The study.
        dataset: Name of the data set.
        scores: Its scores, one row per image and one column per variant.
        properties: Properties of its images.
    """
    first = str(scores.columns[0])
    numbers, shown = [], []
    for one in properties:
        for group, ids in one.groups.groupby(one.groups, observed=True).groups.items():
            rows = scores.loc[scores.index.intersection(ids)]
            if rows.empty:
                continue
            interval = mean_interval(rows[first].to_numpy())
            labels = {"property": one.name, "group": str(group), "images": len(rows)}
            ends_ = {"low": interval.low, "high": interval.high}
            numbers.append({**labels, **ends_, **rows.mean().to_dict()})
            shown.append({**labels, first: number(interval.mean), "95 % interval": ends(interval)})
    caption = (
        f"Mean Jaccard per image of {first!r} by group on {dataset}, each image averaged over seeds, with "
        f"95 % BCa intervals over images; the CSV has the means of all {study.noun}s."
    )
    return Table(f"properties_{dataset}", caption, pd.DataFrame(numbers), pd.DataFrame(shown))


def correlation_table(dataset: str, scores: pd.Series, properties: Sequence[ImageProperty]) -> Table:
    """Tabulate the rank correlation of each property with the score, by itself and given the controls.

    Args:
        dataset: Name of the data set.
        scores: A variant's score by image.
        properties: Properties of the images.
    """
    values = _numbers(properties)
    found: list[Correlation] = []
    for name in values:
        others = [other for other in CONTROLS if other in values and other != name]
        for controls in ([], others):
            rows = pd.concat([values[[name]], scores, values[controls]], axis=1, join="inner").dropna()
            found.append(rank_correlation(rows.iloc[:, 0], rows.iloc[:, 1], rows.iloc[:, 2:]))
    corrected = holm([one.p for one in found])
    numbers, shown = [], []
    for place, name in enumerate(values):
        number_row, text_row = {"property": name}, {"property": name}
        for offset, suffix in enumerate(("", ", given the others")):
            one, p = found[2 * place + offset], corrected[2 * place + offset]
            number_row |= {f"{key}{suffix}": value for key, value in ({**vars(one), "p, Holm": p}).items()}
            text_row |= {f"{key}{suffix}": text for key, text in _texts(one, p).items()}
        numbers.append(number_row)
        shown.append(text_row)
    caption = (
        f"Spearman's rank correlation of properties of the images with the Jaccard of {scores.name!r} on "
        f"{dataset}, each by itself and given the others of {', '.join(CONTROLS)} (partial correlation). "
        f"{INTERVAL}"
    )
    return Table(f"correlations_{dataset}", caption, pd.DataFrame(numbers), pd.DataFrame(shown))


def _difference_table(
    study: ScoredVariants, dataset: str, scores: pd.DataFrame, properties: Sequence[ImageProperty]
) -> Table | None:
    """Tabulate the rank correlation of each property with the differences; None for a single variant."""
    values = _numbers(properties)
    found: list[tuple[dict[str, str], Correlation]] = []
    for name, variant in product(values, scores.columns[1:]):
        reference = study.reference(variant)
        if reference in scores:
            difference = (scores[variant] - scores[reference]).rename("difference")
            rows = pd.concat([values[name], difference], axis=1, join="inner").dropna()
            labels = {"property": name, study.noun: str(variant), "minus": reference}
            found.append((labels, rank_correlation(rows.iloc[:, 0], rows.iloc[:, 1])))
    if not found:
        return None
    corrected = holm([one.p for _, one in found])
    numbers = [
        {**labels, **vars(one), "p, Holm": p} for (labels, one), p in zip(found, corrected, strict=True)
    ]
    shown = [{**labels, **_texts(one, p)} for (labels, one), p in zip(found, corrected, strict=True)]
    caption = (
        f"Spearman's rank correlation of properties of the images with differences in Jaccard on {dataset}: "
        f"where it is not 0, a {study.noun} gains more on images with high or low values. {INTERVAL}"
    )
    return Table(f"difference_correlations_{dataset}", caption, pd.DataFrame(numbers), pd.DataFrame(shown))


def _numbers(properties: Sequence[ImageProperty]) -> pd.DataFrame:
    return pd.DataFrame({one.name: one.values for one in properties if one.values is not None})


def _texts(one: Correlation, corrected: float) -> dict[str, str]:
    return {
        "images": str(one.images),
        "rho": number(one.rho, 2, "+"),
        "95 % interval": f"{number(one.low, 2, '+')} to {number(one.high, 2, '+')}",
        "p, Holm": p_value(corrected),
    }
