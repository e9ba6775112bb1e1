"""Figures of an evaluation, drawn from contours and numbers; pixels of an image only where one is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from mlffm_segdiff.data.contour import mask_contours
from mlffm_segdiff.data.files import Pixels
from mlffm_segdiff.evaluation.rows import EvaluatedCase
from mlffm_segdiff.files.atomic import atomic_write, open_checked
from mlffm_segdiff.files.names import printable
from mlffm_segdiff.metrics.overlap import JACCARD_THRESHOLD, Mask

TRUTH_COLOUR = "#1b7837"
PREDICTED_COLOUR = "#d6604d"
PANEL_INCHES = 2.2
DPI = 150
HISTOGRAM_BINS = 40
NAME_LENGTH = 26


@dataclass(frozen=True)
class OutlinedCase:
    """The content of a panel: ground truth and prediction (HxW bool), and their Jaccard.

    Attributes:
        image: The image to draw the contours on, of any size, uint8 RGB; None draws only contours.
    """

    id: str
    truth: Mask
    predicted: Mask
    jaccard: float
    image: Pixels | None = None


def pick_cases(cases: Sequence[EvaluatedCase], each: int) -> dict[str, list[EvaluatedCase]]:
    """Return the best, median and worst cases by Jaccard at source size, no case twice.

    Args:
        cases: Cases to pick from; fewer than 3 * `each` give shorter lists.
        each: Cases per list, 1 or more.

    Returns:
        Lists from the higher to the lower score; equal scores are sorted by id.
    """
    ranked = sorted(cases, key=lambda case: (-case.source.jaccard, case.id))
    each = min(each, max(1, len(ranked) // 3))
    best, rest = ranked[:each], ranked[each:]
    middle, worst = rest[:-each], rest[-each:]
    start = (len(middle) - each) // 2 if len(middle) > each else 0
    return {"best": best, "median": middle[start : start + each], "worst": worst}


def contour_figure(groups: Mapping[str, Sequence[OutlinedCase]]) -> Figure:
    """Draw the two contours of each case in the frame of its image, under id, Jaccard and Dice."""
    columns = max([1, *(len(cases) for cases in groups.values())])
    figure = Figure(
        figsize=(PANEL_INCHES * columns + 0.4, PANEL_INCHES * len(groups) + 0.4), layout="constrained"
    )
    grid = figure.subplots(len(groups), columns, squeeze=False)
    for row, (name, cases) in zip(grid, groups.items(), strict=True):
        for panel in row:
            panel.set_axis_off()
        for panel, case in zip(row, cases, strict=False):
            _draw_case(panel, case)
        row[0].text(-0.06, 0.5, name, rotation=90, va="center", ha="right", transform=row[0].transAxes)
    handles = [Line2D([], [], color=colour) for colour in (TRUTH_COLOUR, PREDICTED_COLOUR)]
    figure.legend(handles, ["ground truth", "prediction"], loc="outside lower center", ncols=2, frameon=False)
    return figure


def histogram_figure(scores: Sequence[float], name: str) -> Figure:
    """Draw the histogram of a score in [0, 1] called `name`, with mean and median."""
    figure = Figure(figsize=(5, 3.2), layout="constrained")
    axes = figure.add_subplot(xlim=(0, 1), xlabel=name, ylabel="cases")
    axes.hist(scores, bins=HISTOGRAM_BINS, range=(0, 1), color="#4393c3")
    for label, value, style in (("mean", np.mean(scores), "-"), ("median", np.median(scores), "--")):
        axes.axvline(float(value), color="black", linestyle=style, label=f"{label} {value:.3f}")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False, loc="upper left")
    return figure


def size_figure(cases: Sequence[EvaluatedCase]) -> Figure:
    """Draw the Jaccard of each case at source size against its lesion's share of the image."""
    counts = [case.source.counts for case in cases]
    figure = Figure(figsize=(5, 3.2), layout="constrained")
    axes = figure.add_subplot(
        xlim=(0, 1), ylim=(0, 1.02), xlabel="lesion, share of the image", ylabel="Jaccard at source size"
    )
    axes.scatter(
        [count.lesion / count.pixels for count in counts],
        [case.source.jaccard for case in cases],
        s=10,
        alpha=0.5,
        linewidths=0,
    )
    axes.axhline(JACCARD_THRESHOLD, color="black", linestyle=":", label=f"threshold {JACCARD_THRESHOLD}")
    axes.legend(frameon=False, loc="lower right")
    return figure


def save_figure(figure: Figure, path: Path) -> None:
    """Save a figure in the format of the path's extension, atomically.

    Args:
        figure: Figure to save.
        path: File to write; its extension is the format, such as .png.

    Raises:
        UserError: The file cannot be written.
    """
    with atomic_write(path) as temporary, open_checked(temporary) as file:
        figure.savefig(file, format=path.suffix[1:], dpi=DPI)


def _draw_case(panel: Axes, case: OutlinedCase) -> None:
    height, width = case.truth.shape
    panel.set(xlim=(-1, width), ylim=(height, -1), aspect="equal")
    if case.image is not None:
        panel.imshow(case.image, extent=(-0.5, width - 0.5, height - 0.5, -0.5))
    panel.add_patch(Rectangle((-0.5, -0.5), width, height, fill=False, edgecolor="0.8", linewidth=0.8))
    for mask, colour in ((case.truth, TRUTH_COLOUR), (case.predicted, PREDICTED_COLOUR)):
        for contour in mask_contours(mask):
            panel.plot(contour[:, 1], contour[:, 0], color=colour, linewidth=1)
    dice = 2 * case.jaccard / (1 + case.jaccard)
    name = printable(case.id)
    name = name if len(name) <= NAME_LENGTH else name[: NAME_LENGTH - 1] + "…"
    title = f"{name}\nJaccard {case.jaccard:.3f}, Dice {dice:.3f}"
    panel.set_title(title, fontsize=8, parse_math=False)
