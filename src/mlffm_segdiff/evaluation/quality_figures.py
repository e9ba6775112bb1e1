"""Figures of how well certainty predicts Dice: curves and counts, no pixel of a data set."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mlffm_segdiff.evaluation.quality import (
    JudgedCase,
    caught_share,
    reliability_bins,
    retained_error,
)
from mlffm_segdiff.metrics.overlap import JACCARD_THRESHOLD

COLOURS = {"certainty": "#2166ac", "agreement of samples": "#b2182b"}
SIZE = (8.6, 3.4)


def reliability_figure(cases: Sequence[JudgedCase]) -> Figure:
    """Draw expected against true Dice, per case and per group; all cases have an expected Dice."""
    expected = [case.expected_dice for case in cases if case.expected_dice is not None]
    dices = [case.dice for case in cases]
    figure = Figure(figsize=(4.4, 4.2), layout="constrained")
    axes = figure.add_subplot(xlim=(0, 1), ylim=(0, 1.02), xlabel="expected Dice", ylabel="Dice")
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=1)
    axes.scatter(expected, dices, s=8, alpha=0.35, linewidths=0, color="#4393c3", label="a case")
    groups = reliability_bins(expected, dices)
    axes.plot(
        [group[0] for group in groups],
        [group[1] for group in groups],
        marker="o",
        color="black",
        label=f"mean of {groups[0][2]} cases",
    )
    axes.legend(frameon=False, loc="lower right")
    return figure


def retention_figure(cases: Sequence[JudgedCase]) -> Figure:
    """Draw the share of bad masks found, and the error left, against the share of cases that are checked."""
    figure = Figure(figsize=SIZE, layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw_caught(left, cases)
    _draw_retained(right, cases)
    return figure


def _doubts(cases: Sequence[JudgedCase]) -> dict[str, list[float]]:
    found = {"certainty": [-case.certainty for case in cases]}
    agreements = [-case.agreement for case in cases if case.agreement is not None]
    return found | ({"agreement of samples": agreements} if len(agreements) == len(cases) else {})


def _draw_caught(axes: Axes, cases: Sequence[JudgedCase]) -> None:
    axes.set(xlabel="share of cases checked, least certain first", ylabel="share of bad masks found")
    axes.set(xlim=(0, 1), ylim=(0, 1.02), title=f"bad: Jaccard below {JACCARD_THRESHOLD}")
    bad = [case.jaccard < JACCARD_THRESHOLD for case in cases]
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=1, label="by chance")
    shares = np.linspace(0, 1, 101)
    if any(bad):
        axes.plot(shares, np.minimum(1, shares * len(bad) / sum(bad)), "--", color="black", label="at best")
        for name, doubts in _doubts(cases).items():
            caught = [caught_share(doubts, bad, share) for share in shares]
            axes.plot(shares, np.array(caught, dtype=float), color=COLOURS[name], label=name)
    axes.legend(frameon=False, loc="lower right")


def _draw_retained(axes: Axes, cases: Sequence[JudgedCase]) -> None:
    dices = [case.dice for case in cases]
    kept = np.arange(1, len(cases) + 1) / len(cases)
    axes.set(xlabel="share of cases kept, most certain first", ylabel="mean of 1 - Dice of those kept")
    axes.set(xlim=(0, 1), title="error-retention curve")
    axes.axhline(float(1 - np.mean(dices)), color="0.6", linewidth=1, label="by chance")
    best = retained_error([-dice for dice in dices], dices)
    axes.plot(kept, best, "--", color="black", label="at best")
    for name, doubts in _doubts(cases).items():
        axes.plot(kept, retained_error(doubts, dices), color=COLOURS[name], label=name)
    axes.set_ylim(bottom=0)
