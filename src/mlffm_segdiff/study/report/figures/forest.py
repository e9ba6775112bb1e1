"""Forest plot: each variant's paired difference from the baseline with its interval."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mlffm_segdiff.study.differences import LEVEL
from mlffm_segdiff.study.report.comparisons import Comparison, names_others
from mlffm_segdiff.study.report.figures.style import COLOURS, legend_below, page_figure

SIGNIFICANT, OTHER = COLOURS[1], "white"


def forest_figure(comparisons: Sequence[Comparison], score: str) -> Figure:
    """Draw mean difference, 95 % interval and the mean of each seed (small ticks), one panel per data set.

    A filled point is significant after Holm's correction.

    Args:
        comparisons: Comparisons of one evaluation.
        score: Name of the score.
    """
    named = names_others(comparisons)
    labels = list(dict.fromkeys(_label(one, named) for one in comparisons))
    datasets = list(dict.fromkeys(one.dataset for one in comparisons))
    figure = page_figure(1.5 + 0.3 * len(labels))
    panels = figure.subplots(1, len(datasets), sharey=True, squeeze=False)[0]
    for panel, dataset in zip(panels, datasets, strict=True):
        panel.axvline(0, color="black", linewidth=0.8)
        for one in comparisons:
            if one.dataset == dataset:
                _draw(panel, one, labels.index(_label(one, named)))
        panel.set_title(dataset, fontsize=9)
        panel.tick_params(labelsize=8)
        panel.locator_params(axis="x", nbins=4)
        panel.set_xlabel(f"difference in {score}", fontsize=9)
        panel.grid(axis="x", alpha=0.3)
    panels[0].set_yticks(range(len(labels)), labels, fontsize=8)
    panels[0].set_ylim(len(labels) - 0.5, -0.5)
    _explain(figure)
    return figure


def _label(one: Comparison, named: bool) -> str:
    return f"{one.label} vs {one.other}" if named else one.label


def _draw(panel: Axes, one: Comparison, row: int) -> None:
    difference = one.result.interval
    low, high = (end if end is not None else difference.mean for end in (difference.low, difference.high))
    panel.plot([low, high], [row, row], color=SIGNIFICANT, linewidth=1.8)
    face = SIGNIFICANT if one.corrected < LEVEL else OTHER
    panel.plot(one.by_seed, [row + 0.25] * len(one.by_seed), "|", color="0.45", markersize=6)
    panel.plot(difference.mean, row, "o", color=SIGNIFICANT, markerfacecolor=face, markersize=6)


def _explain(figure: Figure) -> None:
    handles = [
        Line2D([], [], color=SIGNIFICANT, marker="o"),
        Line2D([], [], color=SIGNIFICANT, marker="o", markerfacecolor=OTHER),
        Line2D([], [], color="0.45", marker="|", linestyle=""),
    ]
    legend_below(figure, handles, ["significant (Holm)", "not significant", "one seed"])
