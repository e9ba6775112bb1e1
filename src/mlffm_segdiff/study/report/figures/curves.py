"""Learning curves: training loss and validation Jaccard with a band over seeds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mlffm_segdiff.study.report.figures.style import colour, legend_below, line, page_figure
from mlffm_segdiff.study.score_frame import CellResult, training_minutes
from mlffm_segdiff.training.metrics_log import read_rows

IMAGES, MINUTES = "images seen", "minutes of training"
LOSS, JACCARD = ("loss", "training loss"), ("val_jaccard", "validation Jaccard, pooled")
PANELS = ((LOSS, IMAGES), (JACCARD, IMAGES), (JACCARD, MINUTES))
MARKED_POINTS = 12
"""Curves with at most this many points have markers, because a single point has no line."""


def curves_figure(cells: Sequence[CellResult], variants: Sequence[str]) -> Figure:
    """Draw the mean over seeds of each variant, in a band from the lowest to the highest.

    By minutes, a variant has the mean pace of its uninterrupted runs, and is absent if it has none.

    Args:
        cells: Finished cells of one data set.
        variants: Their variants, in the order of colours.
    """
    figure = page_figure(3.1 + 0.12 * len(variants))
    panels = figure.subplots(1, len(PANELS))
    handles = {}
    for panel, ((column, label), unit) in zip(panels, PANELS, strict=True):
        for place, variant in enumerate(variants):
            runs = [one for one in cells if one.cell.variant == variant]
            minutes = training_minutes(runs)
            if runs and unit == IMAGES:
                handles[variant] = _draw(panel, by_images(runs, column), 1, place)
            elif minutes is not None:
                pace = minutes / runs[0].folder.account()["images"]
                _draw(panel, by_images(runs, column), pace, place)
        panel.set_title(label, fontsize=9)
        panel.set_xlabel(unit, fontsize=9)
        panel.tick_params(labelsize=8)
        panel.locator_params(axis="x", nbins=4)
        panel.grid(alpha=0.3)
    legend_below(figure, list(handles.values()), list(handles))
    return figure


def by_images(cells: Sequence[CellResult], column: str) -> dict[int, list[float]]:
    """Return the logged values of all runs by the number of images seen, sorted."""
    found: dict[int, list[float]] = defaultdict(list)
    for one in cells:
        batch = one.cell.recipe.train.batch_size
        for row in read_rows(one.folder.run.metrics):
            if row.get(column):
                found[(int(row["step"]) + 1) * batch].append(float(row[column]))
    return dict(sorted(found.items()))


def _draw(panel: Axes, points: Mapping[int, Sequence[float]], pace: float, place: int) -> Artist:
    seen, values = [pace * images for images in points], list(points.values())
    (drawn,) = panel.plot(
        seen,
        [np.mean(several) for several in values],
        color=colour(place),
        linestyle=line(place),
        linewidth=1.4,
        marker="o" if len(seen) <= MARKED_POINTS else "",
        markersize=3,
    )
    low, high = ([pick(several) for several in values] for pick in (min, max))
    panel.fill_between(seen, low, high, color=colour(place), alpha=0.15, linewidth=0)
    return drawn
