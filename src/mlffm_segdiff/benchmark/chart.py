"""The bar chart: how far each figure is from its goal."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from mlffm_segdiff.benchmark.goals import Result
from mlffm_segdiff.benchmark.report import Found, plain, results
from mlffm_segdiff.data.atomic import atomic_write

CHART_FILE = "benchmark.png"
MET, MISSED = "#1b7837", "#d6604d"
SHORTEST, LONGEST = 0.01, 100.0
DPI = 150


def goal_chart(found: Found, title: str) -> Figure:
    """Draw a bar a measured goal: how many times better than the goal, on a logarithmic axis.

    Bars end at SHORTEST and LONGEST; what lost nothing at all is as long as that.
    """
    measured = [(name, result) for name, result in results(found) if result.figure is not None]
    chart = Figure(figsize=(8, 1.3 + 0.4 * len(measured)), layout="constrained")
    axes = chart.add_subplot(xscale="log", xlim=(SHORTEST, LONGEST), xlabel="times better than the goal")
    margins = [_margin(result) for _, result in measured]
    axes.barh(
        range(len(measured)),
        [margin - 1 for margin in margins],
        left=1,
        color=[MET if margin >= 1 else MISSED for margin in margins],
    )
    axes.set_yticks(range(len(measured)), _labels(measured))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.invert_yaxis()
    axes.axvline(1, color="black", linewidth=1)
    axes.set_title(title, fontsize=9)
    return chart


def write_chart(folder: Path, found: Found, title: str) -> None:
    """Write CHART_FILE. Raises UserError where it cannot be written."""
    with atomic_write(folder / CHART_FILE) as path:
        goal_chart(found, title).savefig(path, dpi=DPI)


def _labels(measured: Sequence[tuple[str, Result]]) -> list[str]:
    return [
        f"{result.goal.name}, {name}: {plain(result.figure.value)} {result.goal.unit}"
        for name, result in measured
        if result.figure is not None
    ]


def _margin(result: Result) -> float:
    assert result.figure is not None
    value = result.figure.value
    margin = result.goal.margin(value) if value > 0 else LONGEST
    return min(max(margin, SHORTEST), LONGEST)
