"""A score against a property of the images, and by data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mlffm_segdiff.metrics.intervals import Values, mean_interval
from mlffm_segdiff.study.report.figures.style import (
    FAINT,
    colour,
    legend_below,
    line,
    marker,
    page_figure,
)

BINS = 6
LETTERS_IN_A_ROW = 80
"""Names of groups with more letters are written at a slant."""


def binned_means(values: pd.Series, scores: pd.DataFrame) -> tuple[pd.Series, pd.DataFrame]:
    """Group images by a value into at most `BINS` equally large groups.

    Args:
        values: Values by id. Images without one are left out.
        scores: One row per id, one column per variant.

    Returns:
        The median value and the mean scores of each group.
    """
    known = values.reindex(scores.index).dropna()
    bins = pd.qcut(known.rank(method="first"), min(BINS, len(known)), labels=False)
    return known.groupby(bins).median(), scores.loc[known.index].groupby(bins).mean()


def trend_figure(values: pd.Series, scores: pd.DataFrame, label: str) -> Figure:
    """Draw the first variant by image and by group, and below it the difference of the other variants.

    Args:
        values: See `binned_means`.
        scores: See `binned_means`.
        label: Label of the axis of values.
    """
    first, *others = scores
    middle, means = binned_means(values, scores)
    figure = page_figure(3.0 + (2.2 + 0.06 * len(others) if others else 0))
    panels = figure.subplots(2 if others else 1, 1, sharex=True, squeeze=False)[:, 0]
    points = panels[0].scatter(values.reindex(scores.index), scores[first], s=8, color=FAINT, linewidths=0)
    (drawn,) = panels[0].plot(middle, means[first], color=colour(0), marker=marker(0), markersize=4)
    panels[0].set_ylabel("Jaccard, per image", fontsize=9)
    handles: dict[str, Artist] = {f"{first}, each image": points, f"{first}, mean of a group": drawn}
    for place, variant in enumerate(others, start=1):
        panels[1].axhline(0, color=colour(0), linewidth=0.8)
        (handles[variant],) = panels[1].plot(
            middle,
            means[variant] - means[first],
            color=colour(place),
            linestyle=line(place),
            marker=marker(place),
            markersize=4,
            linewidth=1.2,
        )
        panels[1].set_ylabel(f"minus {first!r}", fontsize=9)
    for panel in panels:
        panel.grid(alpha=0.3)
        panel.tick_params(labelsize=8)
    panels[-1].set_xlabel(label, fontsize=9)
    legend_below(figure, list(handles.values()), list(handles))
    return figure


def dataset_figure(
    tables: Mapping[str, pd.DataFrame], seeds: pd.DataFrame, variants: Sequence[str]
) -> Figure:
    """Draw each variant's mean Jaccard on each data set with its 95 % BCa interval; small dots are seeds.

    Args:
        tables: One row per image and one column per variant, by data set.
        seeds: Columns variant, dataset, jaccard.
        variants: The variants, in the order of colours.
    """
    figure = page_figure(2.6 + 0.12 * len(variants))
    axes = figure.add_subplot(ylabel="Jaccard, per image, source size")
    step = 0.8 / len(variants)
    handles: dict[str, Artist] = {}
    for group, (dataset, table) in enumerate(tables.items()):
        for place, variant in enumerate(variants):
            if variant in table:
                x = group + (place - (len(variants) - 1) / 2) * step
                own = seeds[(seeds["variant"] == variant) & (seeds["dataset"] == dataset)]["jaccard"]
                axes.plot([x + step / 4] * len(own), own, ".", color=colour(place), markersize=3)
                handles[variant] = _draw_mean(axes, x, table[variant].to_numpy(), place)
    names = list(tables)
    axes.set_xticks(range(len(names)), names, parse_math=False)
    if len("".join(names)) > LETTERS_IN_A_ROW:
        for label in axes.get_xticklabels():
            label.set(rotation=30, horizontalalignment="right")
    axes.set_xlim(-0.5, len(tables) - 0.5)
    axes.grid(axis="y", alpha=0.3)
    legend_below(figure, list(handles.values()), list(handles))
    return figure


def _draw_mean(axes: Axes, x: float, values: Values, place: int) -> Artist:
    found = mean_interval(values)
    low, high = (end if end is not None else found.mean for end in (found.low, found.high))
    axes.plot([x, x], [low, high], color=colour(place), linewidth=1.5)
    (drawn,) = axes.plot(x, found.mean, color=colour(place), marker=marker(place), markersize=5, linestyle="")
    return drawn
