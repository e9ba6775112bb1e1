import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta, betabinom
from scipy.stats.distributions import rv_frozen

from mlffm_segdiff.metrics.conformal import conformal_quantile, control_risk, covered_cases, fewest_cases

REPEATS = 1000


def test_the_quantile_by_hand() -> None:
    scores = [5.0, 1.0, 4.0, 2.0, 3.0, 6.0, 9.0, 8.0, 7.0]
    assert [conformal_quantile(scores, level) for level in (0.1, 0.5, 0.85, 0.9)] == [1, 5, 9, 9]
    assert conformal_quantile(scores, 0.91) == math.inf
    assert conformal_quantile([], 0.5) == math.inf


@pytest.mark.parametrize("level", [0.8, 0.9, 0.95])
def test_coverage_over_exchangeable_cases_is_beta_binomial(level: float) -> None:
    """Vovk 2012: the number of covered new cases is beta-binomial, for any continuous distribution."""
    random, cases, new = np.random.default_rng(0), 60, 40
    covered = []
    for _ in range(REPEATS):
        scores = np.exp(random.standard_normal(cases + new))
        covered.append(np.sum(scores[cases:] <= conformal_quantile(scores[:cases], level)))
    rank = math.ceil((cases + 1) * level)
    exact = betabinom(new, rank, cases + 1 - rank)
    assert np.mean(covered) == pytest.approx(exact.mean(), abs=4 * exact.std() / math.sqrt(REPEATS))
    assert exact.mean() / new >= level
    assert np.std(covered) == pytest.approx(exact.std(), rel=0.1)


def test_coverage_is_lost_where_new_cases_are_harder() -> None:
    random = np.random.default_rng(1)
    limit = conformal_quantile(random.exponential(1.0, 500), 0.9)
    assert np.mean(random.exponential(3.0, 2000) <= limit) < 0.7


def miss_rates(random: np.random.Generator, cases: int, shift: float = 0.0) -> np.ndarray:
    """Share of a case's pixels below each of falling thresholds, for pixels with a case's own mean."""
    pixels = random.normal(random.normal(shift, 1.0, (cases, 1)), 1.0, (cases, 200))
    thresholds = np.linspace(3, -8, 111)
    return (pixels[:, :, None] < thresholds).mean(axis=1)


@pytest.mark.parametrize("risk", [0.05, 0.1, 0.2])
def test_risk_is_controlled_and_not_wasted_on_exchangeable_cases(risk: float) -> None:
    random = np.random.default_rng(2)
    pool = miss_rates(random, 4000)
    found = []
    for _ in range(REPEATS):
        chosen = random.permutation(len(pool))[:200]
        index = control_risk(pool[chosen[:100]], risk)
        assert index is not None
        found.append(pool[chosen[100:], index].mean())
    error = np.std(found) / math.sqrt(REPEATS)
    assert np.mean(found) <= risk + 3 * error
    assert np.mean(found) >= risk - 2 / 101 - 0.015, (
        "theorem 2 there: at most 2 / (n + 1) below, and the grid"
    )


def test_risk_is_not_controlled_where_new_cases_are_harder() -> None:
    random = np.random.default_rng(3)
    index = control_risk(miss_rates(random, 400), 0.1)
    assert index is not None
    assert miss_rates(random, 400, shift=-2.0)[:, index].mean() > 0.2


def test_too_few_cases_control_nothing() -> None:
    assert control_risk(np.zeros((8, 3)), 0.1) is None
    assert control_risk(np.zeros((9, 3)), 0.1) == 0


@given(
    st.lists(st.lists(st.floats(0, 1), min_size=4, max_size=4), min_size=1, max_size=30),
    st.floats(0.01, 0.99),
)
def test_losses_that_rise_again_count_with_their_later_maximum(rows: list[list[float]], risk: float) -> None:
    losses = np.array(rows)
    index = control_risk(losses, risk)
    worst = [(losses[:, k:].max(axis=1).sum() + 1) / (len(rows) + 1) for k in range(4)]
    expected = next((k for k, bound in enumerate(worst) if bound <= risk), None)
    assert index == expected


def test_the_range_of_coverage_holds_for_intervals_of_exchangeable_cases() -> None:
    random, level, cases, new = np.random.default_rng(4), 0.9, 60, 50
    low, high = covered_cases(cases, new, level, 2).ppf((0.025, 0.975)) / new
    inside = []
    for _ in range(REPEATS):
        scores = random.standard_normal(cases + new)
        ends = (conformal_quantile(sign * scores[:cases], (1 + level) / 2) for sign in (-1, 1))
        below, above = ends
        covered = np.mean((-scores[cases:] <= below) & (scores[cases:] <= above))
        inside.append(low <= covered <= high)
    assert 0.94 <= np.mean(inside) <= 0.99  # the number of covered cases is discrete


@pytest.mark.parametrize(
    ("cases", "level", "sides", "exact"),
    [(20, 0.9, 2, beta(19, 2)), (20, 0.9, 1, beta(19, 2)), (194, 0.8, 1, beta(156, 39))],
)
def test_the_share_of_many_covered_cases_is_beta(
    cases: int, level: float, sides: int, exact: rv_frozen
) -> None:
    """Of 20 cases, an interval of 90 % leaves out one at each end, a limit two."""
    found = covered_cases(cases, 10**6, level, sides).ppf((0.025, 0.975)) / 10**6
    assert found == pytest.approx(exact.ppf((0.025, 0.975)), abs=1e-5)


@pytest.mark.parametrize(("level", "cases"), [(0.8, 9), (0.9, 19), (0.95, 39)])
def test_both_ends_of_an_interval_need_this_many_cases(level: float, cases: int) -> None:
    assert fewest_cases(level) == cases
    side = (1 + level) / 2
    assert conformal_quantile(np.arange(cases, dtype=float), side) < math.inf
    assert conformal_quantile(np.arange(cases - 1, dtype=float), side) == math.inf
