"""The sections with pictures: curves, scores by data set, size and skin, areas, contours, weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.skin_tone import TONES, tone_name
from mlffm_segdiff.evaluation.figures import contour_figure
from mlffm_segdiff.study.fusion_weights import fusion_steps
from mlffm_segdiff.study.report.draft import Draft
from mlffm_segdiff.study.report.figures.areas import area_table, bland_altman_figure
from mlffm_segdiff.study.report.figures.curves import curves_figure
from mlffm_segdiff.study.report.figures.fusion import (
    BAND,
    evenly,
    fusion_maps_figure,
    fusion_shares,
    fusion_shares_figure,
)
from mlffm_segdiff.study.report.figures.trends import dataset_figure, trend_figure
from mlffm_segdiff.study.report.images import load_cell, open_images, outline, skin_angles
from mlffm_segdiff.study.report.page import Block, Heading, Paragraph
from mlffm_segdiff.study.report.study import Studied
from mlffm_segdiff.study.report.table import Table
from mlffm_segdiff.study.report.words import number
from mlffm_segdiff.study.scores import StudiedCell, image_means, seed_means

WORST, ROWS = 4, 4
FUSION_IMAGES = 16
LEFT_OUT = "Left out for {dataset}: {reason}"


def curve_section(study: Studied, draft: Draft) -> list[Block]:
    """Show the learning curves of the finished cells by data set."""
    blocks: list[Block] = [Heading("Learning curves")]
    for dataset in study.datasets:
        cells = [one for one in study.cells if one.finished and one.cell.dataset == dataset]
        if cells:
            caption = (
                f"Training on {dataset}: mean over seeds; the band is from the lowest to the highest seed. "
                "The validation Jaccard chose each run's weights."
            )
            blocks.append(draft.picture(f"curves_{dataset}", curves_figure(cells, study.variants), caption))
    return blocks


def dataset_section(study: Studied, draft: Draft) -> list[Block]:
    """Show the mean scores by data set."""
    rows = study.main_rows()
    tables = {dataset: image_means(own, "jaccard") for dataset, own in study.by_dataset()}
    figure = dataset_figure(tables, seed_means(rows, ["jaccard"]), study.variants)
    caption = (
        "Mean Jaccard per image at source size with 95 % BCa intervals over images; small dots are seeds."
    )
    return [Heading("By data set"), draft.picture("datasets", figure, caption)]


def size_section(study: Studied, draft: Draft) -> list[Block]:
    """Show scores against lesion size."""

    def draw(dataset: str, scores: pd.DataFrame) -> list[Block]:
        rows = study.main_rows()
        truth = area_table(rows[rows["dataset"] == dataset])["true"]
        figure = trend_figure(truth, scores, "true lesion area, % of the image")
        caption = f"Jaccard against lesion size on {dataset}. {_trend_words(study, scores)}"
        return [draft.picture(f"size_{dataset}", figure, caption)]

    return [Heading("By lesion size"), *_each_dataset(study, draw)]


def tone_section(study: Studied, draft: Draft) -> list[Block]:
    """Show scores against the typology angle of the skin, where the images are at hand."""

    def draw(dataset: str, scores: pd.DataFrame) -> list[Block]:
        angles = skin_angles(open_images(_some_cell(study, dataset).cell, study.part))
        if angles.reindex(scores.index).isna().all():
            raise UserError("no picture shows enough skin beside the lesion")
        figure = trend_figure(
            angles, scores, "individual typology angle of the skin, degrees (high is light)"
        )
        left_out = angles.reindex(scores.index).isna().sum()
        caption = (
            f"Jaccard against a proxy of skin tone on {dataset}. {_trend_words(study, scores)} Left out for "
            f"want of skin in the picture: {left_out}."
        )
        table = _tone_table(study, dataset, angles, scores)
        return [draft.picture(f"tone_{dataset}", figure, caption), draft.table(table)]

    definition = (
        "The individual typology angle is arctan((L* - 50) / b*) of the skin outside the true mask, in "
        "CIELAB (Chardon et al. 1991), above 90 degrees where b* is negative, from means over the values "
        "within one standard deviation, as Kinyanjui et al. 2020 take it. Camera, light and white balance "
        "are in it: it is a proxy within one data set, not a person's skin type."
    )
    return [Heading("By skin tone, a proxy"), Paragraph(definition), *_each_dataset(study, draw)]


def area_section(study: Studied, draft: Draft) -> list[Block]:
    """Show how predicted lesion areas agree with true ones."""

    def draw(dataset: str, scores: pd.DataFrame) -> list[Block]:
        rows = study.main_rows()
        rows = rows[rows["dataset"] == dataset]
        areas = {str(name): area_table(rows[rows["variant"] == name]) for name in scores}
        caption = (
            f"Bland-Altman plot of lesion areas on {dataset}: predicted less true area against their mean, "
            "each image averaged over seeds. Solid: mean difference; dashed: 1.96 standard deviations "
            "either side."
        )
        return [draft.picture(f"areas_{dataset}", bland_altman_figure(areas), caption)]

    return [Heading("Lesion areas"), *_each_dataset(study, draw)]


def gallery_section(study: Studied, draft: Draft) -> list[Block]:
    """Show the contours of the baseline's worst cases, as it and other variants see them."""

    def draw(dataset: str, scores: pd.DataFrame) -> list[Block]:
        first = scores.columns[0]
        worst = list(scores[first].sort_values(kind="stable").index[:WORST])
        cells = [one for name in scores if (one := study.first_cell(str(name), dataset))][:ROWS]
        images = open_images(cells[0].cell, study.part).select(worst)
        overrides = study.lock.evaluations[study.evaluation]
        groups = {
            f"{one.cell.variant}, seed {one.cell.seed}": outline(one, overrides, images) for one in cells
        }
        caption = (
            f"The cases on {dataset} on which {first!r} scores lowest over seeds, worst first; contours "
            "alone, at source size."
        )
        return [draft.picture(f"worst_{dataset}", contour_figure(groups), caption)]

    return [Heading("Worst cases"), *_each_dataset(study, draw)]


def fusion_section(study: Studied, draft: Draft) -> list[Block]:
    """Show what MLFFM's adaptive weights look at, where a variant has them and the images are at hand."""

    def draw(dataset: str, scores: pd.DataFrame) -> list[Block]:
        cells = [one for name in scores if (one := study.first_cell(str(name), dataset))]
        fused = next((one for one in cells if has_adaptive_fusion(one)), None)
        return _fusion_blocks(study, draft, fused, scores) if fused else []

    blocks = _each_dataset(study, draw)
    return [Heading("What the fusion module weighs"), *blocks] if blocks else []


def has_adaptive_fusion(one: StudiedCell) -> bool:
    """Return whether a cell's recipe is MLFFM-SegDiff with adaptive weights."""
    model = one.cell.recipe.model.model_dump()
    return model["name"] == "mlffm_segdiff" and bool(model["adaptive"] and model["fusion_width"])


def _fusion_blocks(study: Studied, draft: Draft, one: StudiedCell, scores: pd.DataFrame) -> list[Block]:
    dataset, variant = one.cell.dataset, one.cell.variant
    ranked = list(scores[variant].sort_values(kind="stable").index)
    middle = ranked[len(ranked) // 2]
    others = [name for name in sorted(ranked) if name != middle]
    images = open_images(one.cell, study.part).select([middle, *others[: FUSION_IMAGES - 1]])
    segmenter, sampling = load_cell(one, study.lock.evaluations[study.evaluation])
    steps = fusion_steps(segmenter, images.pairs.images, sampling)
    masks = images.pairs.masks > 0
    shares = fusion_shares(steps, masks)
    who = f"{variant!r}, seed {one.cell.seed}, on {dataset}"
    maps = (
        f"Weights λ of the MLFFM of {who}, for {middle}, the case of median Jaccard: a row for each pair "
        "of levels (source → level it is fused into, 1 is the finest), a column for each denoising step; "
        "white: the true contour. The weights into a level sum to 1 at each place."
    )
    means = (
        f"Mean weights of {who}, over {len(masks)} images, within {BAND:g} pixels of the true contour "
        "(network's size), inside and outside of it. Grey: equal weights."
    )
    shown = shares.assign(weight=shares["weight"].map(number)).astype(str)
    draft.table(Table(f"fusion_{dataset}", means, shares, shown))
    return [
        draft.picture(f"fusion_maps_{dataset}", fusion_maps_figure(evenly(steps), masks[0]), maps),
        draft.picture(f"fusion_{dataset}", fusion_shares_figure(shares), means),
    ]


def _each_dataset(study: Studied, draw: Callable[[str, pd.DataFrame], Sequence[Block]]) -> list[Block]:
    """Return what ``draw`` makes of each data set and its Jaccard by image and variant, or why not."""
    blocks: list[Block] = []
    for dataset, own in study.by_dataset():
        try:
            blocks += draw(dataset, image_means(own, "jaccard"))
        except UserError as error:
            blocks.append(Paragraph(LEFT_OUT.format(dataset=dataset, reason=error)))
    return blocks


def _some_cell(study: Studied, dataset: str) -> StudiedCell:
    return next(one for one in study.cells if one.finished and one.cell.dataset == dataset)


def _tone_table(study: Studied, dataset: str, angles: pd.Series, scores: pd.DataFrame) -> Table:
    """Return the mean scores, one row a variant, one column a tone with its number of images."""
    names = angles.reindex(scores.index).dropna().map(tone_name)
    means = scores.loc[names.index].groupby(names).mean().T
    counts = names.value_counts()
    tones = [tone for tone in TONES if tone in counts]
    means = means[tones].set_axis([f"{tone} ({counts[tone]})" for tone in tones], axis=1)
    numbers = means.rename_axis(index=study.noun, columns=None).reset_index()
    shown = numbers.assign(**{name: numbers[name].map(number) for name in means})
    caption = (
        f"Mean Jaccard per image by tone of the skin on {dataset}; in brackets the images, which may be few."
    )
    return Table(f"tone_{dataset}", caption, numbers, shown)


def _trend_words(study: Studied, scores: pd.DataFrame) -> str:
    return (
        f"Above: {scores.columns[0]!r}, each image over seeds, and means of groups of equally many images at "
        f"the group's median. Below: by how much the other {study.noun}s differ from these means."
    )
