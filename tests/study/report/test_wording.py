import math

import pandas as pd
import pytest

from mlffm_segdiff.metrics.intervals import Interval
from mlffm_segdiff.study.differences import Difference
from mlffm_segdiff.study.report.wording import counted, number, over_seeds, p_value, signed, verdict


def result(mean: float, effect: float) -> Difference:
    return Difference(30, Interval(mean, mean - 0.01, mean + 0.01), 0.01, effect)


@pytest.mark.parametrize(
    ("mean", "effect", "corrected", "by_seed", "words"),
    [
        (0.02, 0.6, 0.05, (0.02, 0.02), "no significant difference"),
        (0.02, 0.6, 0.049, (0.02, 0.021, 0.019), "better"),
        (-0.02, -0.6, 0.01, (-0.02, -0.021), "worse"),
        (0.02, -0.1, 0.01, (0.02, 0.02), "significant, but mean and ranks point in opposite directions"),
        (0.02, 0.6, 0.01, (0.05, -0.01), "better on average, but in 1 of 2 runs only"),
        (-0.02, -0.6, 0.01, (-0.04, 0.01, -0.03), "worse on average, but in 2 of 3 runs only"),
        (0.02, 0.6, 0.01, (0.001, 0.039), "better, but within the spread of runs"),
        (0.02, 0.6, 0.01, (0.02,), "better (one run only)"),
    ],
)
def test_the_verdict(
    mean: float, effect: float, corrected: float, by_seed: tuple[float, ...], words: str
) -> None:
    assert verdict(result(mean, effect), corrected, by_seed) == words


def test_where_less_is_better_less_is_better() -> None:
    assert verdict(result(-2, -0.6), 0.01, (-2, -2.1), higher_is_better=False) == "better"
    assert verdict(result(2, 0.6), 0.01, (2, 2.1), higher_is_better=False) == "worse"
    spread_out = verdict(result(-2, -0.6), 0.01, (-3, 1), higher_is_better=False)
    assert spread_out == "better on average, but in 1 of 2 runs only"


def test_numbers_as_text() -> None:
    assert (number(0.12345), number(None), number(math.nan), number(3.14159, 2)) == (
        "0.1235",
        "-",
        "-",
        "3.14",
    )
    assert (signed(0.5), signed(-0.25, 2), signed(None)) == ("+0.5000", "-0.25", "-")
    assert (p_value(0.0004), p_value(0.04567), p_value(1.0)) == ("< 0.001", "0.046", "1.000")
    assert (p_value(0.0496), p_value(0.049997), p_value(0.05), p_value(0.0503)) == (
        "0.0496",
        "0.049997",
        "0.050",
        "0.050",
    )
    assert (over_seeds(pd.Series([0.79, 0.80, 0.81])), over_seeds(pd.Series([0.8]))) == (
        "0.8000 ± 0.0100",
        "0.8000",
    )
    assert (counted(1, "seed"), counted(3, "seed")) == ("1 seed", "3 seeds")
