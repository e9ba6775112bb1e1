"""Critical-difference diagram (Demsar 2006), drawn by scikit-posthocs."""

from __future__ import annotations

from matplotlib.figure import Figure
from scikit_posthocs import critical_difference_diagram

from mlffm_segdiff.study.differences import LEVEL
from mlffm_segdiff.study.ranking import Ranking
from mlffm_segdiff.study.report.figures.style import page_figure


def rank_figure(ranking: Ranking) -> Figure:
    """Draw models at their mean ranks; a bar joins those that Nemenyi's test does not separate."""
    figure = page_figure(1.2 + 0.22 * len(ranking.ranks))
    axes = figure.add_subplot()
    critical_difference_diagram(
        ranking.ranks,
        ranking.nemenyi,
        alpha=LEVEL,
        ax=axes,
        label_fmt_left="{label} ({rank:.2f})",
        label_fmt_right="({rank:.2f}) {label}",
        label_props={"fontsize": 9},
        elbow_props={"color": "0.2", "linewidth": 0.9},
        marker_props={"color": "black", "s": 18},
    )
    axes.set_xlabel("")
    return figure
