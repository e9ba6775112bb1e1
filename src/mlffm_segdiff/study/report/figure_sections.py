"""The sections with figures: scores by data set, curves, areas, contours, weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pandas as pd

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.evaluation.figures import OutlinedCase, contour_figure
from mlffm_segdiff.study.fusion_weights import fusion_steps
from mlffm_segdiff.study.report.document import Document, Table
from mlffm_segdiff.study.report.figures.areas import area_table, bland_altman_figure
from mlffm_segdiff.study.report.figures.curves import curves_figure
from mlffm_segdiff.study.report.figures.fusion import (
    BAND,
    evenly,
    fusion_maps_figure,
    fusion_shares,
    fusion_shares_figure,
)
from mlffm_segdiff.study.report.figures.trends import dataset_figure
from mlffm_segdiff.study.report.scored_images import load_cell, open_images, outline
from mlffm_segdiff.study.report.scored_variants import ScoredVariants
from mlffm_segdiff.study.report.study_results import StudyResults
from mlffm_segdiff.study.report.wording import number
from mlffm_segdiff.study.score_frame import CellResult, image_means, seed_means

WORST, ROWS = 4, 4
FUSION_IMAGES = 16


def add_datasets(study: ScoredVariants, document: Document) -> None:
    """Add the mean scores by data set."""
    tables = {dataset: image_means(own, "jaccard") for dataset, own in study.by_dataset()}
    figure = dataset_figure(tables, seed_means(study.main_rows(), ["jaccard"]), study.variants)
    document.heading("By data set")
    document.figure(
        "datasets",
        figure,
        "Mean Jaccard per image at source size with 95 % BCa intervals over images; small dots are seeds.",
    )


def add_curves(study: StudyResults, document: Document) -> None:
    """Add the learning curves of the finished cells."""
    document.heading("Learning curves")
    for dataset in study.datasets:
        cells = [one for one in study.finished if one.cell.dataset == dataset]
        if cells:
            caption = (
                f"Training on {dataset}: mean over seeds; the band is from the lowest to the highest seed. "
                "The validation Jaccard chose each run's weights. Minutes are those of runs that were not "
                "interrupted, without variants that have none; they are longer if the machine was shared."
            )
            document.figure(f"curves_{dataset}", curves_figure(cells, study.variants), caption)


def add_areas(study: ScoredVariants, document: Document) -> None:
    """Add how predicted lesion areas agree with true ones."""

    def draw(dataset: str, scores: pd.DataFrame) -> None:
        rows = study.main_rows()
        rows = rows[rows["dataset"] == dataset]
        areas = {str(name): area_table(rows[rows["variant"] == name]) for name in scores}
        caption = (
            f"Bland-Altman plot of lesion areas on {dataset}: predicted minus true area against their mean, "
            "each image averaged over seeds. Solid: mean difference; dashed: 1.96 standard deviations on "
            "either side."
        )
        document.figure(f"areas_{dataset}", bland_altman_figure(areas), caption)

    _each_dataset(study, document, "Lesion areas", draw)


def add_worst_cases(study: StudyResults, document: Document) -> None:
    """Add contours of the baseline's worst cases, by it and by other variants."""

    def draw(dataset: str, scores: pd.DataFrame) -> None:
        worst = worst_ids(scores)
        cells = [one for name in scores if (one := study.first_cell(str(name), dataset))][:ROWS]
        by_size = {one.cell.recipe.data.size: one.cell for one in cells}
        images = {size: open_images(cell, study.plan.part).select(worst) for size, cell in by_size.items()}
        overrides = study.plan.evaluations[study.evaluations[0]]
        groups = {
            f"{one.cell.variant}, seed {one.cell.seed}": outline(
                one, overrides, images[one.cell.recipe.data.size]
            )
            for one in cells
        }
        add_worst_figure(document, dataset, groups, str(scores.columns[0]))

    _each_dataset(study, document, "Worst cases", draw)


def worst_ids(scores: pd.DataFrame) -> list[str]:
    """Return the images with the lowest scores of the first variant, worst first."""
    return list(scores.iloc[:, 0].sort_values(kind="stable").index[:WORST])


def add_worst_figure(
    document: Document, dataset: str, groups: Mapping[str, Sequence[OutlinedCase]], first: str
) -> None:
    """Add the contours of the worst cases of the variant ``first``, one row per variant."""
    pixels = any(case.image is not None for cases in groups.values() for case in cases)
    caption = (
        f"The cases on {dataset} with the lowest scores of {first!r} over seeds, worst first; "
        f"{'' if pixels else 'only '}contours, at source size."
    )
    document.figure(f"worst_{dataset}", contour_figure(groups), caption)


def add_fusion_weights(study: StudyResults, document: Document) -> None:
    """Add MLFFM's adaptive weights, if a variant has them and the images are available."""
    if not any(has_adaptive_fusion(one) for one in study.finished):
        return

    def draw(dataset: str, scores: pd.DataFrame) -> None:
        cells = [one for name in scores if (one := study.first_cell(str(name), dataset))]
        fused = next((one for one in cells if has_adaptive_fusion(one)), None)
        if fused is not None:
            _add_fusion(study, document, fused, scores)

    _each_dataset(study, document, "Weights of the fusion module", draw)


def has_adaptive_fusion(one: CellResult) -> bool:
    """Return whether a cell's recipe is MLFFM-SegDiff with adaptive weights."""
    model = one.cell.recipe.model.model_dump()
    return model["name"] == "mlffm_segdiff" and bool(model["adaptive"] and model["fusion_width"])


def _add_fusion(study: StudyResults, document: Document, one: CellResult, scores: pd.DataFrame) -> None:
    dataset, variant = one.cell.dataset, one.cell.variant
    ranked = list(scores[variant].sort_values(kind="stable").index)
    median = ranked[len(ranked) // 2]
    others = [name for name in sorted(ranked) if name != median]
    images = open_images(one.cell, study.plan.part).select([median, *others[: FUSION_IMAGES - 1]])
    segmenter, sampling = load_cell(one, study.plan.evaluations[study.evaluations[0]])
    steps = fusion_steps(segmenter, images.pairs.images, sampling)
    masks = images.pairs.masks > 0
    who = f"{variant!r}, seed {one.cell.seed}, on {dataset}"
    maps = (
        f"Weights λ of the MLFFM of {who}, for {median}, the case of median Jaccard: a row for each pair of "
        "levels (source → level it is fused into, 1 is the finest), a column for each denoising step; white: "
        "the true contour. The weights into a level sum to 1 at each position."
    )
    means = (
        f"Mean weights of {who}, over {len(masks)} images, within {BAND:g} pixels of the true contour (at "
        "the network's input size), inside and outside of it. Grey: equal weights."
    )
    shares = fusion_shares(steps, masks)
    document.figure(f"fusion_maps_{dataset}", fusion_maps_figure(evenly(steps), masks[0]), maps)
    document.figure(f"fusion_{dataset}", fusion_shares_figure(shares), means)
    shown = shares.assign(weight=shares["weight"].map(number)).astype(str)
    document.save_table(Table(f"fusion_{dataset}", means, shares, shown))


def _each_dataset(
    study: ScoredVariants,
    document: Document,
    title: str,
    draw: Callable[[str, pd.DataFrame], None],
) -> None:
    """Add a section: what ``draw`` makes of each data set and its Jaccard by image and variant."""
    document.heading(title)
    for dataset, own in study.by_dataset():
        try:
            draw(dataset, image_means(own, "jaccard"))
        except UserError as error:
            document.text(f"Left out for {dataset}: {error}")
