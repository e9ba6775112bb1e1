import re
from pathlib import Path

import pytest

from mlffm_segdiff.benchmark.goals import GOALS, Goal

SLOW = Goal("a", "time", 2.0, True, "x")
FAST = Goal("b", "rate", 2.0, False, "x")


@pytest.mark.parametrize(
    ("goal", "value", "met", "margin"),
    [
        (SLOW, 0.5, True, 4.0),
        (SLOW, 2.0, True, 1.0),
        (SLOW, 8.0, False, 0.25),
        (FAST, 8.0, True, 4.0),
        (FAST, 2.0, True, 1.0),
        (FAST, 0.5, False, 0.25),
    ],
)
def test_goals_by_hand(goal: Goal, value: float, met: bool, margin: float) -> None:
    assert goal.met(value) is met
    assert goal.margin(value) == margin


def test_the_bounds_are_those_of_the_documentation() -> None:
    text = (Path(__file__).parents[2] / "docs" / "PERFORMANCE.md").read_text()
    stated = re.findall(r"^\|[^|]+\| at (most|least) ([\d.,]+)", text, re.MULTILINE)
    goals = [("most" if goal.at_most else "least", goal.bound) for goal in GOALS.values()]
    assert goals == [(side, float(bound.replace(",", ""))) for side, bound in stated]
