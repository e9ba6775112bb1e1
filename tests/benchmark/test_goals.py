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


def test_the_bounds_are_the_projects() -> None:
    assert {name: (goal.at_most, goal.bound) for name, goal in GOALS.items()} == {
        "segmentation-1": (True, 0.25),
        "segmentation-16": (True, 0.12),
        "denoise-step": (False, 60),
        "ensemble": (False, 20_000),
        "train-swin_unetr": (False, 3),
        "peak-share": (False, 35),
        "memory": (True, 1),
        "memory-growth": (True, 1.05),
        "predict": (False, 0.9),
    }
