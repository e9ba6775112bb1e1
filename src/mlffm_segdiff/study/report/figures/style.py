"""The style of all figures of a report: one width, colours safe for colour-blind readers."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.artist import Artist
from matplotlib.figure import Figure

WIDTH = 7.2
"""Inches; a page's width."""
COLOURS = ("#000000", "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9")
"""Okabe and Ito 2008 without the yellow, which is too light for lines; the first is the baseline's."""
LINES = ("-", "--", ":", "-.")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
FAINT = "0.75"


def colour(place: int) -> str:
    """Return the colour of the variant at this place."""
    return COLOURS[place % len(COLOURS)]


def line(place: int) -> str:
    """Return the line style of the variant at this place: a new one for each round of colours."""
    return LINES[place // len(COLOURS) % len(LINES)]


def marker(place: int) -> str:
    """Return the marker of the variant at this place: no pair of colour and marker occurs twice."""
    return MARKERS[(place + place // len(COLOURS)) % len(MARKERS)]


def page_figure(height: float) -> Figure:
    """Return an empty figure as wide as a page; height in inches."""
    return Figure(figsize=(WIDTH, height), layout="constrained")


def legend_below(figure: Figure, handles: Sequence[Artist], labels: Sequence[str]) -> None:
    """Place the legend below the panels, in as many columns as fit."""
    longest = max(map(len, labels), default=1)
    columns = max(1, min(len(labels), int(WIDTH / (0.062 * longest + 0.45))))
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False, fontsize=8)
