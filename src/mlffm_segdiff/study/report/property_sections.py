"""The sections about properties of the images: does a score depend on size, contrast or skin tone?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pandas as pd

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.metrics.intervals import mean_interval
from mlffm_segdiff.study.correlation import Correlation, rank_correlation
from mlffm_segdiff.study.differences import MIN_PAIRS, holm
from mlffm_segdiff.study.report.document import Document, Table
from mlffm_segdiff.study.report.figures.areas import area_table
from mlffm_segdiff.study.report.figures.trends import trend_figure
from mlffm_segdiff.study.report.given_properties import given_properties
from mlffm_segdiff.study.report.image_properties import (
    MEASURED,
    SIZE,
    ImageProperty,
    file_stem,
    in_thirds,
    measured_properties,
)
from mlffm_segdiff.study.report.scored_variants import ScoredVariants
from mlffm_segdiff.study.report.study_results import StudyResults
from mlffm_segdiff.study.report.wording import number, p_value
from mlffm_segdiff.study.score_frame import common_seeds, image_means, image_table

SIZE_DEFINITION = "Lesion size is the share of the image that the ground truth mask covers, in percent."
DEFINITIONS = (
    f"{SIZE_DEFINITION} Contrast is the CIEDE2000 colour difference between the medians of the lesion and of "
    "the ring of skin around it. Skin tone is the individual typology angle in degrees, high for light skin: "
    "arctan((L* - 50) / b*) of the skin outside the ground truth mask, in CIELAB (Chardon et al. 1991), "
    "above 90 degrees where b* is negative, from means over the values within one standard deviation, as in "
    "Kinyanjui et al. 2020. It depends on camera, light and white balance: it is a proxy within one data "
    "set, not a person's skin type."
)
GIVEN = ", given the others"
INTERVAL = (
    "Interval: Fisher's z with the variance of Bonett and Wright (2000). Holm: corrected for all tests of "
    "the table."
)


def add_properties(study: StudyResults, document: Document, given: Mapping[str, pd.Series]) -> None:
    """Add scores by lesion size, contrast and skin tone, and by further properties.

    Args:
        study: The study. Contrast and skin tone are left out if its images were never available.
        document: The report.
        given: Further properties: numbers or texts by id of the image.
    """
    document.heading("By lesion size, contrast and skin tone")
    document.text(DEFINITIONS)
    for dataset, own in study.by_dataset():
        found = [lesion_sizes(own)]
        try:
            found += measured_properties(study, dataset)
        except UserError as error:
            document.text(f"Contrast and skin tone are left out for {dataset}: {error}")
        scores = image_means(own, "jaccard")
        known = with_enough_images(
            document, dataset, scores, [*found, *given_properties(given, scores.index)]
        )
        for one in known:
            add_trend(study, document, dataset, scores, one)
        if known:
            document.table(group_table(study, dataset, scores, known))
            add_correlations(study, document, dataset, scores, known, MEASURED)


def lesion_sizes(rows: pd.DataFrame) -> ImageProperty:
    """Return the true lesion sizes of the rows' images, one data set at source size."""
    return in_thirds(SIZE, "true lesion area, % of the image", area_table(rows)["true"])


def with_enough_images(
    document: Document, dataset: str, scores: pd.DataFrame, properties: Sequence[ImageProperty]
) -> list[ImageProperty]:
    """Return the properties that enough of the scored images have; the report names the others."""
    shared = {one.name: one.groups.index.isin(scores.index).sum() for one in properties}
    if few := [name for name, count in shared.items() if count < MIN_PAIRS]:
        document.text(
            f"Left out for {dataset}, as fewer than {MIN_PAIRS} images have a value: {', '.join(few)}."
        )
    return [one for one in properties if shared[one.name] >= MIN_PAIRS]


def add_trend(
    study: ScoredVariants, document: Document, dataset: str, scores: pd.DataFrame, one: ImageProperty
) -> None:
    """Draw the scores by a property, if it is a number."""
    if one.values is not None:
        figure = trend_figure(one.values, scores, one.label)
        caption = (
            f"Jaccard by {one.name} on {dataset}. Above: {scores.columns[0]!r}, each image over seeds, and "
            "means of equally large groups of images at the group's median. Below: how much the other "
            f"{study.noun}s differ from these means."
        )
        document.figure(f"by_{file_stem(one.name)}_{dataset}", figure, caption)


def add_correlations(
    study: ScoredVariants,
    document: Document,
    dataset: str,
    scores: pd.DataFrame,
    properties: Sequence[ImageProperty],
    measured: Sequence[str],
) -> None:
    """Add the rank correlation of properties with scores, see `correlation_table`, and with differences."""
    document.table(correlation_table(dataset, scores.iloc[:, 0], properties, measured))
    differences = _difference_table(study, dataset, properties)
    if differences is not None:
        document.table(differences)


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
            bounds = {f"{first}, low": interval.low, f"{first}, high": interval.high}
            numbers.append({**labels, **bounds, **rows.mean().to_dict()})
            shown.append({**labels, first: number(interval.mean), "95 % interval": interval.ends()})
    caption = (
        f"Mean Jaccard per image of {first!r} by group on {dataset}, each image averaged over seeds, with "
        f"95 % BCa intervals over images; the CSV has the means of all {study.noun}s."
    )
    return Table(f"properties_{dataset}", caption, pd.DataFrame(numbers), pd.DataFrame(shown))


def correlation_table(
    dataset: str, scores: pd.Series, properties: Sequence[ImageProperty], measured: Sequence[str]
) -> Table:
    """Tabulate the rank correlation of each property with the score, by itself and given the measured ones.

    Args:
        dataset: Name of the data set.
        scores: A variant's score by image.
        properties: Properties of the images.
        measured: Names of those that are measured rather than given.
    """
    values = _numbers(properties)
    measured = [name for name in measured if name in values]
    found: list[tuple[str, str, Correlation]] = []
    for name in values:
        others = [other for other in measured if other != name]
        for suffix, controls in {"": [], GIVEN: others}.items() if others else [("", [])]:
            rows = pd.concat([values[[name]], scores, values[controls]], axis=1, join="inner").dropna()
            one = rank_correlation(rows.iloc[:, 0], rows.iloc[:, 1], rows.iloc[:, 2:])
            found.append((name, suffix, one))
    corrected = holm([one.p for *_, one in found])
    numbers: dict[str, dict[str, object]] = {name: {"property": name} for name in values}
    shown: dict[str, dict[str, object]] = {name: {"property": name} for name in values}
    for (name, suffix, one), p in zip(found, corrected, strict=True):
        columns = {**vars(one), "p, Holm": p}
        numbers[name] |= {f"{column}{suffix}": value for column, value in columns.items()}
        shown[name] |= {f"{column}{suffix}": text for column, text in _texts(one, p).items()}
    held = f"the others of {', '.join(measured)}" if len(measured) > 1 else "".join(measured)
    partial = f" and given {held} (partial correlation)" if held and len(values.columns) > 1 else ""
    caption = (
        f"Spearman's rank correlation of properties of the images with the Jaccard of {scores.name!r} on "
        f"{dataset}, each by itself{partial}. {INTERVAL}"
    )
    frames = (pd.DataFrame(list(rows.values())) for rows in (numbers, shown))
    return Table(f"correlations_{dataset}", caption, next(frames), next(frames).fillna("-"))


def _difference_table(
    study: ScoredVariants, dataset: str, properties: Sequence[ImageProperty]
) -> Table | None:
    """Tabulate the rank correlation of each property with the differences; None if there are none."""
    values = _numbers(properties)
    found: list[tuple[dict[str, str], Correlation]] = []
    rows = study.main_rows().query("dataset == @dataset")
    for variant in study.variants[1:]:
        reference = study.reference(variant)
        both = rows[rows["variant"].isin([variant, reference])]
        if both["variant"].nunique() == 2 and common_seeds(both):
            scores = image_table(both, "jaccard")
            difference = (scores[variant] - scores[reference]).rename("difference")
            for name in values:
                pairs = pd.concat([values[name], difference], axis=1, join="inner").dropna()
                labels = {"property": name, study.noun: variant, "minus": reference}
                found.append((labels, rank_correlation(pairs.iloc[:, 0], pairs.iloc[:, 1])))
    if not found:
        return None
    corrected = holm([one.p for _, one in found])
    numbers = [
        {**labels, **vars(one), "p, Holm": p} for (labels, one), p in zip(found, corrected, strict=True)
    ]
    shown = [{**labels, **_texts(one, p)} for (labels, one), p in zip(found, corrected, strict=True)]
    caption = (
        f"Spearman's rank correlation of properties of the images with differences in Jaccard on {dataset}, "
        f"each image averaged over the seeds that both {study.noun}s have. If it is positive, the difference "
        f"is larger on images with high values; if it is negative, on images with low ones. {INTERVAL}"
    )
    return Table(f"difference_correlations_{dataset}", caption, pd.DataFrame(numbers), pd.DataFrame(shown))


def _numbers(properties: Sequence[ImageProperty]) -> pd.DataFrame:
    return pd.DataFrame({one.name: one.values for one in properties if one.values is not None})


def _texts(one: Correlation, corrected: float) -> dict[str, str]:
    return {
        "images": str(one.images),
        "rho": number(one.rho, 2, "+"),
        "95 % interval": "-" if math.isnan(one.rho) else f"{one.low:+.2f} to {one.high:+.2f}",
        "p, Holm": p_value(corrected),
    }
