import math
from dataclasses import astuple, replace

import numpy as np
import pytest
from scipy.stats import binomtest

from mlffm_segdiff.metrics.case_bounds import (
    THRESHOLDS,
    TOLERANCE,
    USUAL_CONTRAST,
    Bounds,
    CheckedCase,
    area_interval,
    check_case,
    dice_interval,
    fit_bounds,
    most_conservative,
    threshold_at,
)

PROBABILITY = np.float32([[0.0, 0.3, 0.6, 1.0], [0.1, 0.4, 0.8, 0.9]])
TRUTH = np.array([[0, 1, 1, 1], [0, 0, 0, 1]], bool)
REPEATS = 1000


def at(threshold: float) -> int:
    """Return the index of the first threshold from this one."""
    return int(np.searchsorted(THRESHOLDS, threshold))


def test_the_nested_sets_of_a_case_by_hand() -> None:
    found = check_case(PROBABILITY, TRUTH, 0.9, USUAL_CONTRAST, 0.75)
    assert (found.share, found.true_share) == (0.5, 0.5)
    # from 0.5: 0.6 and 1.0 and 0.9 are lesion, 0.8 is not; 0.3 is a lesion that is missed
    assert (found.outer_loss[at(0.5)], found.inner_loss[at(0.5)]) == (0.25, 0.25)
    assert (found.outer_loss[at(0.85)], found.inner_loss[at(0.85)]) == (0.5, 0.0)
    assert (found.outer_loss[0], found.inner_loss[0], found.set_share[0]) == (0, 0.5, 1)
    assert (found.outer_loss[-1], found.inner_loss[-1], found.set_share[-1]) == (1, 0, 0)


def test_a_case_without_lesion_loses_nothing_outside() -> None:
    found = check_case(PROBABILITY, np.zeros_like(TRUTH), 0.9, USUAL_CONTRAST, 0.0)
    assert not found.outer_loss.any()
    assert found.inner_loss[at(0.5)] == 1


def test_nested_sets_reach_further_where_the_contrast_is_low() -> None:
    assert [threshold_at(0.8, contrast) for contrast in (24.0, 6.0, 1.0)] == [
        pytest.approx(value) for value in (0.8, 16 / 17, 16 / 17)
    ]  # odds 4, squared
    assert [threshold_at(one, 6.0) for one in (0.0, 0.5, 2.0)] == [0.0, 0.5, 2.0]
    low = check_case(PROBABILITY, TRUTH, 0.9, 6.0, 0.75)
    assert (low.outer_loss[at(0.5)], low.inner_loss[at(0.5)]) == (0.25, 0.25)
    assert low.set_share[at(0.8)] == 1 / 8  # from 16 / 17 only the pixel of 1.0
    assert check_case(PROBABILITY, TRUTH, 0.9, 24.0, 0.75).set_share[at(0.7)] == 3 / 8


def drawn_cases(random: np.random.Generator, count: int, harder: float = 1.0) -> list[CheckedCase]:
    """Cases on an 8 x 8 image, whose errors grow with 1 - certainty; ``harder`` multiplies them."""
    cases = []
    for _ in range(count):
        certainty = random.uniform(0.7, 0.98)
        error = harder * (1 - certainty) * random.gamma(4.0, 0.25)
        probability = np.clip(random.normal(0.5, 0.3, (8, 8)), 0, 1).astype(np.float32)
        truth = probability + random.normal(0, error, (8, 8)) >= 0.5
        case = check_case(probability, truth, certainty, random.uniform(5, 45), max(0.0, 1 - error))
        ratio = math.exp(5 * error * random.normal())
        cases.append(replace(case, true_share=min(1.0, case.share * ratio)))
    return cases


def holds(case: CheckedCase, bounds: Bounds) -> dict[str, float]:
    """Return which bounds hold for a case; of the mean ones how far."""
    areas = area_interval(case.share, case.certainty, case.contrast, bounds)
    dices = dice_interval(case.certainty, bounds)
    return {
        "area": areas[0] <= case.true_share <= areas[1],
        "dice": dices[0] - 1e-9 <= case.dice <= dices[1] + 1e-9,
        "inner": case.inner_loss[at(bounds.inner)] <= TOLERANCE,
        "outer": case.outer_loss[at(bounds.outer)] <= TOLERANCE,
        "mean_inner": 1 - case.inner_loss[at(bounds.mean_inner)],
        "mean_outer": 1 - case.outer_loss[at(bounds.mean_outer)],
    }


def test_all_bounds_hold_for_exchangeable_cases() -> None:
    random, level = np.random.default_rng(0), 0.9
    pool = drawn_cases(random, 500)
    found: dict[str, list[float]] = {}
    for _ in range(REPEATS):
        chosen = random.choice(len(pool), 61, replace=False)
        bounds = fit_bounds([pool[number] for number in chosen[:60]], level)
        assert bounds is not None
        for name, held in holds(pool[chosen[60]], bounds).items():
            found.setdefault(name, []).append(float(held))
    for name, held in found.items():
        assert np.mean(held) >= level - 3 * np.std(held) / math.sqrt(REPEATS), name
    # two sides of ceil(61 (1 + level) / 2) of 60 cases each: the intervals' exact coverage
    exact = 2 * math.ceil(61 * (1 + level) / 2 - 1e-9) / 61 - 1
    for name in ("area", "dice"):
        assert binomtest(int(sum(found[name])), REPEATS, exact).pvalue > 0.001, name


def test_bounds_fail_for_harder_cases() -> None:
    random = np.random.default_rng(1)
    bounds = fit_bounds(drawn_cases(random, 300), 0.9)
    assert bounds is not None
    held = [holds(case, bounds) for case in drawn_cases(random, 300, harder=4.0)]
    assert all(np.mean([one[name] for one in held]) < 0.8 for name in ("area", "dice", "inner", "outer"))


def test_few_cases_give_the_levels_that_they_can_guarantee() -> None:
    cases = drawn_cases(np.random.default_rng(2), 39)
    for level, fewest in ((0.8, 9), (0.9, 19), (0.95, 39)):
        found = fit_bounds(cases[:fewest], level)
        assert found is not None
        assert np.isfinite(astuple(found)).all()
        assert fit_bounds(cases[: fewest - 1], level) is None


def test_the_most_conservative_bounds_hold_where_either_does() -> None:
    random = np.random.default_rng(3)
    easy, hard = drawn_cases(random, 60), drawn_cases(random, 60, harder=2.0)
    found = [fit_bounds(cases, 0.9) for cases in (easy, hard)]
    known = [bounds for bounds in found if bounds is not None]
    both = most_conservative(known)
    for one in known:
        assert both.inner >= one.inner >= 0.5 >= one.outer >= both.outer
        assert both.mean_inner >= one.mean_inner >= 0.5 >= one.mean_outer >= both.mean_outer
        for low, high, widest in zip(
            area_interval(0.2, 0.9, 10.0, one) + dice_interval(0.9, one),
            area_interval(0.2, 0.9, 10.0, both) + dice_interval(0.9, both),
            (min, max, min, max),
            strict=True,
        ):
            assert widest(low, high) == high


def test_intervals_by_hand() -> None:
    bounds = Bounds(0.5, 0.5, 0.5, 0.5, area_low=10, area_high=5, dice_low=0.0, dice_high=math.log(2))
    low, high = area_interval(0.099, 0.91, 24.0, bounds)  # 0.1 times exp(-1) and exp(0.5), less 0.001
    assert (low, high) == (pytest.approx(0.1 / math.e - 0.001), pytest.approx(0.1 * math.exp(0.5) - 0.001))
    usual = 0.095**1.25
    assert dice_interval(0.91, bounds) == (pytest.approx(1.005 - usual), pytest.approx(1.005 - usual / 2))
    doubled = area_interval(0.099, 0.91, 6.0, bounds)
    assert doubled == (pytest.approx(0.1 / math.e**2 - 0.001), pytest.approx(0.1 * math.e - 0.001))
    assert area_interval(0.0, 0.0, 24.0, bounds) == (0.0, 1.0)  # nothing was found
