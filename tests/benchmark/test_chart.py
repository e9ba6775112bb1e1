from pathlib import Path

import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle
from PIL import Image

from mlffm_segdiff.benchmark.chart import MET, MISSED, goal_chart, write_chart
from mlffm_segdiff.benchmark.goals import Findings, Goal, Result
from mlffm_segdiff.benchmark.report import Found
from mlffm_segdiff.benchmark.timing import figure

SLOW = Goal("slow", "time", 1.0, True, "x")
FAST = Goal("fast", "rate", 60.0, False, "x")
LOST = Goal("lost", "loss", 0.002, True, "Jaccard")


def found(*results: Result) -> Found:
    return {"float32": [Findings(results)]}


def test_bars_reach_as_far_as_the_goal_is_beaten_or_missed() -> None:
    results = (
        Result(SLOW, figure([0.25])),
        Result(FAST, figure([30.0])),
        Result(LOST, None, "not measured"),
        Result(LOST, figure([-0.01])),
        Result(FAST, figure([1e9])),
    )
    axes = goal_chart(found(*results), "One machine").axes[0]
    bars = [bar for bar in axes.patches if isinstance(bar, Rectangle)]
    assert [bar.get_x() + bar.get_width() for bar in bars] == pytest.approx([4, 0.5, 100, 100])
    assert [bar.get_x() for bar in bars] == [1, 1, 1, 1]
    assert [to_hex(bar.get_facecolor()) for bar in bars] == [MET, MISSED, MET, MET]
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels[:2] == ["slow, float32: 0.25 x", "fast, float32: 30 x"]


@pytest.mark.parametrize("results", [(), (Result(SLOW, figure([2.0])),)])
def test_a_chart_is_written(tmp_path: Path, results: tuple[Result, ...]) -> None:
    write_chart(tmp_path, found(*results), "One machine")
    with Image.open(tmp_path / "benchmark.png") as image:
        assert image.width > 600
