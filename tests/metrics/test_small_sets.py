import math
from dataclasses import astuple

import numpy as np
import pytest
from scipy.stats import binomtest
from scipy.stats import t as student

from mlffm_segdiff.metrics.case_bounds import (
    Bounds,
    CheckedCase,
    area_interval,
    area_scores,
    dice_interval,
    dice_scores,
    fit_bounds,
)
from mlffm_segdiff.metrics.small_sets import LargerSet, borrowed_limits, fit_few_bounds

REPEATS = 1000
STEPS = 183


def larger_of(scores: np.ndarray) -> LargerSet:
    return LargerSet({"area_high": scores}, {})


def limit(few: np.ndarray, *larger: LargerSet, level: float = 0.9, prior_cases: float = 0) -> float:
    return borrowed_limits({"area_high": few}, larger, level, prior_cases)["area_high"]


@pytest.mark.parametrize("cases", [9, 20, 60])
def test_normal_scores_have_the_distances_of_student(cases: int) -> None:
    found = larger_of(np.random.default_rng(0).standard_normal(4000)).distances("area_high", cases)
    for share in (0.9, 0.95, 0.975):
        exact = student(cases - 1).ppf(share) * math.sqrt(1 + 1 / cases)
        assert np.quantile(found, share) == pytest.approx(exact, rel=0.05)


@pytest.mark.parametrize("level", [0.8, 0.9, 0.95])
def test_limits_hold_for_scores_of_the_same_shape(level: float) -> None:
    """At any location and scale: here of skewed scores, a gamma distribution."""
    random = np.random.default_rng(1)
    larger = larger_of(random.gamma(3.0, 1.0, 3000))
    held = 0
    for _ in range(REPEATS):
        scores = 7 + 0.2 * random.gamma(3.0, 1.0, 13)
        held += scores[-1] <= limit(scores[:-1], larger, level=level)
    assert binomtest(held, REPEATS, (1 + level) / 2).pvalue > 0.001


def test_limits_fail_for_scores_with_longer_tails() -> None:
    random = np.random.default_rng(2)
    larger = larger_of(random.uniform(-1, 1, 3000))
    held = [
        scores[-1] <= limit(scores[:-1], larger, level=0.95)
        for scores in (random.pareto(1.5, 13) for _ in range(REPEATS))
    ]
    assert np.mean(held) < 0.93  # of 0.975


def test_small_scatter_is_averaged_with_that_of_larger_sets_and_large_scatter_is_kept() -> None:
    random = np.random.default_rng(3)
    larger = larger_of(random.standard_normal(2000))
    furthest = float(np.quantile(larger.distances("area_high", 3), 0.95, method="higher"))
    variance = larger.scores["area_high"].var(ddof=1)
    close, wide = np.array([4.9, 5.0, 5.1]), np.array([-5.0, 5.0, 15.0])
    averaged = math.sqrt((2 * 0.01 + 20 * variance) / 22)
    assert limit(close, larger, prior_cases=20) == pytest.approx(5 + averaged * furthest)
    assert limit(close, larger) == pytest.approx(5 + 0.1 * furthest)
    assert limit(wide, larger, prior_cases=20) == pytest.approx(5 + 10 * furthest)
    assert limit(close, larger, larger_of(100 * larger.scores["area_high"])) == pytest.approx(
        5 + 0.1 * furthest
    )  # the same shape


def cases_of(random: np.random.Generator, count: int, scatter: float = 1.0) -> list[CheckedCase]:
    """Cases with normal scores of area and Dice, and normal distances of the contours that hold."""
    cases, places = [], np.arange(STEPS)
    for area, error, inner, outer in scatter * random.standard_normal((count, 4)):
        certainty = random.uniform(0.8, 0.9)
        case = CheckedCase(
            certainty,
            contrast=24.0,
            share=0.2,
            true_share=0.201 * math.exp(area * (1.01 - certainty)) - 0.001,
            dice=1.005 - math.exp(0.3 * error) * (1.005 - certainty) ** 1.25,
            outer_loss=1.0 * (places >= 91 - 8 * outer),
            inner_loss=1.0 * (places < 91 + 8 * inner),
            set_share=(STEPS - places) / STEPS,
        )
        cases.append(case)
    return cases


def covered(cases: list[CheckedCase], bounds: Bounds) -> tuple[float, float]:
    """Return the coverage of the intervals of area and Dice."""
    held = []
    for one in cases:
        low, high = area_interval(one.share, one.certainty, one.contrast, bounds)
        least, most = dice_interval(one.certainty, bounds)
        held.append((low <= one.true_share <= high, least <= one.dice <= most))
    area, dice = np.mean(held, axis=0)
    return float(area), float(dice)


def test_bounds_of_a_small_set_hold_more_evenly_than_its_own() -> None:
    random = np.random.default_rng(4)
    larger = LargerSet.calibrated_on(cases_of(random, 300), (0.9, 0.95))
    new = cases_of(random, 200, 2.0)
    own, widened, higher = [], [], []
    for _ in range(100):
        few = cases_of(random, 20, 2.0)
        alone = fit_bounds(few, 0.9)
        assert alone is not None
        own.append(covered(new, alone))
        widened.append(covered(new, fit_few_bounds(few, [larger], 0.9)))
        higher.append(covered(new, fit_few_bounds(few, [larger], 0.95)))
    assert np.mean(widened) >= 0.9
    assert np.mean(higher) == pytest.approx(0.95, abs=0.02)
    assert np.mean(np.array(widened) < 0.85) < 0.6 * np.mean(np.array(own) < 0.85)


def test_no_bound_is_tighter_than_that_of_the_set() -> None:
    random = np.random.default_rng(5)
    few = cases_of(random, 20)
    larger = LargerSet.calibrated_on(cases_of(random, 100, 0.1), (0.8, 0.95))
    own, found = fit_bounds(few, 0.8), fit_few_bounds(few, [larger], 0.8)
    assert own is not None
    for name in ("inner", "area_low", "area_high", "dice_low", "dice_high"):
        assert getattr(found, name) >= getattr(own, name)
    assert found.outer <= own.outer
    assert (found.mean_inner, found.mean_outer) == (own.mean_inner, own.mean_outer)
    unguaranteed = fit_few_bounds(few, [larger], 0.95)
    assert np.isfinite(astuple(unguaranteed)).all()
    assert unguaranteed.mean_outer == larger.bounds[0.95].mean_outer


def test_the_scores_of_the_simulated_cases_are_normal() -> None:
    """So that the tests above are about the rule, not about how cases are made."""
    cases = cases_of(np.random.default_rng(6), 2000)
    assert np.std([area_scores(case) for case in cases]) == pytest.approx(1.0, abs=0.05)
    assert np.std([dice_scores(case) for case in cases]) == pytest.approx(0.3, abs=0.02)
