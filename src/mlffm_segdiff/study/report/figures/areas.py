"""Bland-Altman plot of lesion areas: which lesions a model segments too large or too small."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mlffm_segdiff.study.report.figures.style import COLOURS, page_figure

COLUMNS = 3
LIMIT = 1.96


def area_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Compute the true and the predicted lesion area of each image, averaged over seeds.

    Args:
        rows: Scores of one variant on one data set at source size.

    Returns:
        Columns "true" and "predicted" in percent of the image, by id.
    """
    pixels = rows[["tp", "fp", "fn", "tn"]].sum(axis=1)
    areas = pd.DataFrame(
        {
            "id": rows["id"],
            "true": 100 * (rows["tp"] + rows["fn"]) / pixels,
            "predicted": 100 * (rows["tp"] + rows["fp"]) / pixels,
        }
    )
    return areas.groupby("id").mean()


def bland_altman_figure(areas: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw predicted minus true area against their mean, one panel per variant (Bland and Altman 1986).

    Lines show the mean difference, and 1.96 standard deviations on either side.

    Args:
        areas: `area_table` by variant.
    """
    lines = -(-len(areas) // COLUMNS)
    figure = page_figure(0.5 + 2.2 * lines)
    columns = min(COLUMNS, len(areas))
    panels = list(figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).flat)
    for panel, (variant, table) in zip(panels, areas.items(), strict=False):
        _draw(panel, table)
        panel.set_title(variant, fontsize=9)
    for panel in panels[len(areas) :]:
        panel.set_visible(False)
    figure.supxlabel("mean of true and predicted lesion area, % of the image", fontsize=9)
    figure.supylabel("predicted minus true area, % of the image", fontsize=9)
    return figure


def _draw(panel: Axes, table: pd.DataFrame) -> None:
    difference = (table["predicted"] - table["true"]).to_numpy()
    panel.scatter(table.mean(axis=1), difference, s=7, alpha=0.45, linewidths=0, color=COLOURS[1])
    mean, spread = difference.mean(), difference.std(ddof=1) if len(difference) > 1 else 0.0
    panel.axhline(0, color="0.6", linewidth=0.8)
    for value, style in ((mean, "-"), (mean - LIMIT * spread, "--"), (mean + LIMIT * spread, "--")):
        panel.axhline(value, color=COLOURS[4], linestyle=style, linewidth=1.2)
    text = f"bias {mean:+.2f}, limits {mean - LIMIT * spread:+.1f} to {mean + LIMIT * spread:+.1f}"
    panel.text(0.03, 0.03, text, transform=panel.transAxes, fontsize=7)
    panel.tick_params(labelsize=8)
