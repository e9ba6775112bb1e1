import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import beta, betabinom

from mlffm_segdiff.evaluation.calibrating import calibrate_style, level_lines
from mlffm_segdiff.evaluation.coverage import (
    ALL,
    APPLIED,
    Coverage,
    CoverageCase,
    coverage_summary,
    measure_coverage,
    strata,
)
from mlffm_segdiff.evaluation.coverage_figure import coverage_figure
from mlffm_segdiff.evaluation.rows import write_rows
from mlffm_segdiff.metrics.case_bounds import THRESHOLDS, Bounds, CheckedCase, check_case
from mlffm_segdiff.metrics.certainty import Calibration
from mlffm_segdiff.metrics.intervals import Interval
from mlffm_segdiff.segmenters.calibration import SetBounds, StyleCalibration


def covered(random: np.random.Generator, count: int, source: str, noise: float = 0.1) -> list[CoverageCase]:
    """Cases whose probability map differs from the truth by noise."""
    cases = []
    for number in range(count):
        truth = np.zeros((12, 12), bool)
        truth[: random.integers(4, 11), :8] = True
        probability = np.clip(truth + random.normal(0, noise, truth.shape), 0, 1).astype(np.float32)
        mask = probability >= 0.5
        dice = 2 * (mask & truth).sum() / (mask.sum() + truth.sum())
        certainty, contrast = random.uniform(0.8, 0.95), random.uniform(5, 40)
        checked = check_case(probability, truth, certainty, contrast, dice)
        cases.append(CoverageCase(f"{source}{number}", source, checked))
    return cases


@pytest.fixture(scope="module")
def found() -> list[Coverage]:
    random = np.random.default_rng(0)
    calibration = calibrate_style(covered(random, 40, "easy") + covered(random, 20, "hard", 0.3))
    return measure_coverage(covered(random, 60, "hard", 0.3) + covered(random, 10, "few"), calibration)


def test_each_set_is_calibrated_for_the_levels_that_its_cases_allow() -> None:
    random = np.random.default_rng(0)
    found = calibrate_style(
        covered(random, 40, "many") + covered(random, 20, "some") + covered(random, 8, "few")
    )
    assert {name: list(one.levels) for name, one in found.sets.items()} == {
        "few": [],
        "many": [0.8, 0.9, 0.95],
        "some": [0.8, 0.9],
    }
    assert found.cases == {"many": 40}
    assert all(not one.lenders for one in found.sets.values())
    assert level_lines(found) == [
        "few: 8 calibration cases, no intervals; 80 % needs 9, 90 % needs 19, 95 % needs 39",
        "many: 40 calibration cases, intervals for 80, 90, 95 %",
        "some: 20 calibration cases, intervals for 80, 90 %; 95 % needs 39; not used for style any, "
        "as other data sets guarantee more levels",
    ]


def test_a_small_set_borrows_from_large_ones_in_their_own_styles() -> None:
    random = np.random.default_rng(2)
    small, large = covered(random, 20, "small"), covered(random, 80, "large", 0.3)
    found = calibrate_style(small, large)
    assert list(found.sets) == ["small"]
    assert found.sets["small"].lenders == ("large",)
    assert list(found.bounds) == [0.8, 0.9, 0.95, 0.975]
    assert level_lines(found) == [
        "small: 20 calibration cases, intervals for 80, 90, 95 %; widened by large, 95 % not guaranteed"
    ]
    assert not calibrate_style(small[:8], large).bounds, "too few for any level of their own"
    (area,) = [
        row
        for row in measure_coverage(small, found)
        if (row.calibrated_on, row.bound, row.level) == (APPLIED, "area", 0.9)
    ]
    assert area.expected_low is not None
    assert area.expected_high is None


def case_of(
    share: float, true_share: float, dice: float, wide: float, narrow: float, outside: float, inside: float
) -> CoverageCase:
    """A case at usual contrast whose pixels have one of three probabilities: 0.07, 0.7 and 0.98.

    Those from 0.07 have the area ``wide``, those from 0.98 ``narrow``; ``outside`` and ``inside`` are wrong.
    """
    areas = np.select([one >= THRESHOLDS for one in (0, 0.07, 0.7, 0.98)], [1.0, wide, share, narrow], 0.0)
    outer, inner = np.where(THRESHOLDS <= 0.07, outside, 1.0), np.where(THRESHOLDS > 0.7, inside, 1.0)
    return CoverageCase("", "made", CheckedCase(0.905, 24.0, share, true_share, dice, outer, inner, areas))


def test_what_was_reached_and_the_widths_by_hand() -> None:
    """Each kind of bound misses one case of four; at certainty 0.905 an error is usually 0.1^1.25 - 0.005."""
    cases = [
        case_of(0.099, 0.30, 0.90, 0.4, 0.05, 0.00, 0.00),  # true area over 2 (0.099 + 0.001) - 0.001
        case_of(0.249, 0.26, 0.80, 0.3, 0.20, 0.00, 0.00),  # Dice under 1.005 - 2 x 0.1^1.25 = 0.89
        case_of(0.399, 0.41, 0.95, 0.5, 0.30, 0.06, 0.00),  # over 5 % of the lesion outside
        case_of(0.499, 0.65, 0.97, 0.6, 0.40, 0.00, 0.08),  # over 5 % inside are not lesion, area over 0.6
    ]
    half = np.log(2) / (0.095 + 0.01)  # areas from half to twice the mask's
    bounds = Bounds(0.9, 0.06, 0.9, 0.06, half, half, np.log(2), np.log(2))
    sets = {"made": SetBounds(cases=19, levels={0.9: bounds})}
    calibration = StyleCalibration(calibration=Calibration((0.5,), (0.5,)), sets=sets)
    found = [row for row in measure_coverage(cases, calibration) if row.calibrated_on == "made"]
    assert {row.bound: (row.reached, row.width) for row in found} == {
        bound: pytest.approx(expected)
        for bound, expected in {
            "area": (0.75, (1.5 * 0.25 / 0.249 + 1.5 * 0.4 / 0.399) / 2),
            "area, naive": (0.75, (0.1 / 0.249 + 0.2 / 0.399) / 2),
            "dice": (0.75, 1.5 * 0.1**1.25),
            "outer": (0.75, (1.8 - 1.246) / 1.246),
            "inner": (0.75, (1.246 - 0.95) / 1.246),
            "mean outer": (1 - 0.06 / 4, (1.8 - 1.246) / 1.246),
            "mean inner": (1 - 0.08 / 4, (1.246 - 0.95) / 1.246),
        }.items()
    }


def test_coverage_is_counted_with_its_exact_interval(found: list[Coverage]) -> None:
    (one,) = [
        row
        for row in found
        if (row.source, row.stratum, row.calibrated_on, row.bound, row.level)
        == ("hard", ALL, "hard", "area", 0.9)
    ]
    held = round(one.reached * 60)
    assert one.cases == 60
    assert one.reached == pytest.approx(held / 60)
    assert one.low == pytest.approx(beta.ppf(0.025, held, 61 - held))  # Clopper and Pearson
    assert one.high == pytest.approx(beta.ppf(0.975, held + 1, 60 - held) if held < 60 else 1.0)


def test_coverage_is_expected_in_the_range_for_exchangeable_cases(found: list[Coverage]) -> None:
    of_hard = [row for row in found if (row.source, row.calibrated_on, row.level) == ("hard", "hard", 0.9)]
    (area,) = [row for row in of_hard if (row.bound, row.stratum) == ("area", ALL)]
    covered = betabinom(60, 19, 2)  # of 20 scores, one at each end is left out
    expected = covered.ppf(0.025) / 60, covered.ppf(0.975) / 60
    assert (area.expected_low, area.expected_high) == pytest.approx(expected)
    others = [row for row in of_hard if row.stratum != ALL or row.bound in ("area, naive", "mean inner")]
    assert {(row.expected_low, row.expected_high) for row in others} == {(None, None)}


def test_every_bound_is_judged_by_every_calibration(found: list[Coverage]) -> None:
    of_all = [row for row in found if row.stratum == ALL]
    assert {(row.source, row.calibrated_on) for row in of_all} == {
        (source, name) for source in ("few", "hard") for name in (APPLIED, "easy", "hard")
    }
    assert {row.bound for row in of_all} == {
        "area",
        "area, naive",
        "dice",
        "outer",
        "inner",
        "mean outer",
        "mean inner",
    }
    assert {row.level for row in of_all if row.calibrated_on == "hard"} == {0.8, 0.9}
    summary = coverage_summary(found)["hard"]["area"]
    assert list(summary) == ["0.8", "0.9", "0.95"]


def test_strata_are_thirds_of_a_set_that_is_large_enough(found: list[Coverage]) -> None:
    sizes = {row.stratum: row.cases for row in found if row.source == "hard"}
    assert sizes[ALL] == 60
    assert sizes["low contrast"] + sizes["medium contrast"] + sizes["high contrast"] == 60
    assert {row.stratum for row in found if row.source == "few"} == {ALL}
    cases = covered(np.random.default_rng(1), 33, "a")
    rising = [replace(case.checked, contrast=float(n)) for n, case in enumerate(cases)]
    groups = strata([CoverageCase("a", "a", checked) for checked in rising])
    assert [case.checked.contrast for case in groups["low contrast"]] == list(range(11))
    of_31 = strata([CoverageCase("a", "a", checked) for checked in rising[:31]])
    assert [len(of_31[f"{name} contrast"]) for name in ("low", "medium", "high")] == [11, 10, 10]


def test_coverages_come_back_from_the_table(found: list[Coverage], tmp_path: Path) -> None:
    write_rows(Coverage, found, tmp_path / "coverage.csv")
    with (tmp_path / "coverage.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(found)
    assert float(rows[0]["reached"]) == pytest.approx(found[0].reached, abs=1e-6)


def test_the_figure_has_a_panel_for_each_bound(found: list[Coverage]) -> None:
    figure = coverage_figure(found)
    assert [axes.get_title() for axes in figure.axes] == ["area", "Dice", "outer contour", "inner contour"]


@pytest.mark.parametrize(("end", "reported"), [(0.0, 0.0), (None, 0.7)])
def test_an_end_of_zero_is_kept_and_an_unknown_end_is_the_mean(
    monkeypatch: pytest.MonkeyPatch, end: float | None, reported: float
) -> None:
    """The shares of the mean kinds are not only 0 and 1, so their interval is bootstrapped."""
    random = np.random.default_rng(0)
    calibration = calibrate_style(covered(random, 40, "easy", 0.3))
    module = "mlffm_segdiff.evaluation.coverage.mean_interval"
    monkeypatch.setattr(module, lambda values: Interval(0.7, end, end))
    found = measure_coverage(covered(random, 60, "easy", 0.3), calibration)
    assert {(one.low, one.high) for one in found if one.low == one.high} == {(reported, reported)}
