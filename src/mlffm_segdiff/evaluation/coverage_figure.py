"""Figure of nominal and reached coverage: points and intervals, no pixel of a data set."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from mlffm_segdiff.evaluation.coverage import ALL, Coverage
from mlffm_segdiff.metrics.case_bounds import LEVELS

SHOWN = {"area": "area", "dice": "Dice", "outer": "outer contour", "inner": "inner contour"}
COLOURS = ("#2166ac", "#b2182b", "#1b7837", "#762a83", "#e08214")
OFFSET = 0.006
PANEL = (2.3, 2.9)


def coverage_figure(found: Sequence[Coverage]) -> Figure:
    """Draw reached against nominal coverage on all cases, a panel per bound and a colour per calibration.

    Lines are the interval of the reached coverage, wide bars its range if all cases are exchangeable.
    """
    shown = [one for one in found if one.stratum == ALL and one.bound in SHOWN and one.level in LEVELS]
    lines = sorted({(one.source, one.calibrated_on) for one in shown})
    figure = Figure(figsize=(PANEL[0] * len(SHOWN), PANEL[1] + 0.4), layout="constrained")
    panels = figure.subplots(1, len(SHOWN), sharey=True)
    for panel, (bound, title) in zip(panels, SHOWN.items(), strict=True):
        panel.plot([0.75, 1], [0.75, 1], color="0.6", linewidth=1)
        panel.set(title=title, xlabel="nominal", xlim=(0.77, 0.98))
        for number, (source, calibrated) in enumerate(lines):
            points = [one for one in shown if (one.source, one.calibrated_on) == (source, calibrated)]
            points = [one for one in points if one.bound == bound]
            places = [one.level + OFFSET * (number - (len(lines) - 1) / 2) for one in points]
            colour = COLOURS[number % len(COLOURS)]
            for place, one in zip(places, points, strict=True):
                if one.expected_low is not None and one.expected_high is not None:
                    expected = [one.expected_low, one.expected_high]
                    panel.plot(
                        [place] * 2, expected, color=colour, alpha=0.25, linewidth=6, solid_capstyle="butt"
                    )
            panel.errorbar(
                places,
                [one.reached for one in points],
                [[one.reached - one.low for one in points], [one.high - one.reached for one in points]],
                color=colour,
                fmt="o",
                markersize=3,
                linewidth=1,
                label=f"{source}, by {calibrated}",
            )
    panels[0].set_ylabel("reached, with 95 % interval")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=min(4, len(lines)), frameon=False, fontsize=8
    )
    return figure
