"""Figures of a run: learning curves, and outlines on validation images."""

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mlffm_segdiff.config.schema import Recipe
from mlffm_segdiff.data.batch import collate
from mlffm_segdiff.data.contour import mask_contours
from mlffm_segdiff.data.dataset import PairDataset
from mlffm_segdiff.files.atomic import atomic_write, open_checked
from mlffm_segdiff.files.names import printable
from mlffm_segdiff.metrics.certainty import THRESHOLD
from mlffm_segdiff.segmenters.assembly import checked_sampling
from mlffm_segdiff.segmenters.base import BaseSegmenter
from mlffm_segdiff.training.metrics_log import read_rows
from mlffm_segdiff.training.run_folder import RunFolder

OVERLAYS = 12


def draw_curves(folder: RunFolder) -> Path:
    """Plot training loss and validation Jaccard against images seen; return the path of curves.png."""
    recipe = folder.recipe()
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    panels = figure.subplots(1, 2)
    for panel, column, label in zip(
        panels, ("loss", "val_jaccard"), ("training loss", "validation Jaccard"), strict=True
    ):
        rows = [row for row in read_rows(folder.metrics) if row.get(column)]
        images = [(int(row["step"]) + 1) * recipe.train.batch_size for row in rows]
        panel.plot(images, [float(row[column]) for row in rows])
        panel.set(xlabel="images seen", title=label)
        panel.grid(alpha=0.3)
    return _save(figure, folder.path / "curves.png")


def draw_overlays(segmenter: BaseSegmenter, recipe: Recipe, dataset: PairDataset, folder: RunFolder) -> Path:
    """Draw the true contour (green) and the predicted one (orange) on validation images.

    Args:
        segmenter: Trained segmenter.
        recipe: Recipe of the segmenter, for the sampling.
        dataset: Validation cases; up to OVERLAYS of them are drawn.
        folder: Run folder.

    Returns:
        Path of overlays.png.
    """
    chosen = np.linspace(0, len(dataset) - 1, min(OVERLAYS, len(dataset))).astype(int)
    batch = collate([dataset[int(index)] for index in chosen])
    segmenter.eval()
    images = batch.image.to(next(segmenter.parameters()).device)
    probability = segmenter.segment(images, checked_sampling(recipe.sampling)).probability.cpu()
    figure = Figure(figsize=(12, 2.2 * -(-len(chosen) // 6)), layout="constrained")
    for number, case in enumerate(batch.ids):
        panel = figure.add_subplot(-(-len(chosen) // 6), 6, number + 1)
        panel.imshow(batch.image[number].add(1).div(2).permute(1, 2, 0).numpy())
        found = probability[number, 0] >= THRESHOLD
        for mask, colour in ((batch.mask[number, 0] > 0, "lime"), (found, "orange")):
            for line in mask_contours(mask.numpy()):
                panel.plot(line[:, 1], line[:, 0], color=colour, linewidth=1)
        panel.set_title(printable(case), fontsize=7, parse_math=False)
        panel.axis("off")
    return _save(figure, folder.path / "overlays.png")


def _save(figure: Figure, path: Path) -> Path:
    with atomic_write(path) as temporary, open_checked(temporary) as file:
        FigureCanvasAgg(figure).print_figure(file, format="png", dpi=120)
    return path
