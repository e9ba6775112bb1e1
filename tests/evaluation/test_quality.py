import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlffm_segdiff.evaluation.quality import (
    JudgedCase,
    caught_share,
    judge_case,
    quality_summary,
    reliability_bins,
    retained_error,
)
from mlffm_segdiff.evaluation.quality_figures import reliability_figure, retention_figure
from mlffm_segdiff.evaluation.rows import EvaluatedCase, write_rows
from mlffm_segdiff.inference.reading.case_image import CaseImage
from mlffm_segdiff.inference.result import CaseResult
from mlffm_segdiff.metrics.case_scores import score_case
from mlffm_segdiff.metrics.certainty import Calibration
from mlffm_segdiff.segmenters.calibration import StyleCalibration
from mlffm_segdiff.segmenters.network_output import NetworkOutput

UNIT = st.floats(0, 1)


ALWAYS = StyleCalibration(calibration=Calibration((0.5,), (0.8,)))


def judged(*pairs: tuple[float, float]) -> list[JudgedCase]:
    """Cases of these certainties and Dice; the calibration expects the certainty."""
    return [
        JudgedCase(str(number), score, score / (2 - score), sure, sure, sure)
        for number, (sure, score) in enumerate(pairs)
    ]


def test_a_case_is_judged_by_its_certainty_and_its_scores() -> None:
    mask, truth = np.array([[True, True], [False, False]]), np.array([[True, False], [False, False]])
    maps = np.tile(np.float32([0.9, 0.1, 0.8]).reshape(3, 1, 1), (1, 2, 2))  # two of three pairs differ
    segmentation = NetworkOutput(maps[0], maps[0], maps)
    image = CaseImage(2, 2, np.zeros((2, 2, 3), np.uint8))
    found = CaseResult(image, mask, segmentation, certainty=0.75, calibration=ALWAYS)
    evaluated = EvaluatedCase("a", score_case(mask, truth))
    assert judge_case(found, evaluated) == JudgedCase(
        "a", pytest.approx(2 / 3), pytest.approx(0.5), 0.75, 0.8, pytest.approx(1 / 3)
    )
    without = replace(found, segmentation=NetworkOutput(maps[0], maps[0]))
    assert judge_case(without, evaluated).agreement is None


def test_bad_masks_are_caught_by_hand() -> None:
    doubt = [0.9, 0.1, 0.8, 0.2, 0.3, 0.7, 0.0, 0.05, 0.06, 0.07]
    bad = [True, True, False, False, False, True, False, False, False, False]
    assert caught_share(doubt, bad, 0.1) == pytest.approx(1 / 3)
    assert caught_share(doubt, bad, 0.2) == pytest.approx(1 / 3)
    assert caught_share(doubt, bad, 0.3) == pytest.approx(2 / 3)
    assert caught_share(doubt, bad, 1.0) == 1.0
    assert caught_share(doubt, [False] * 10, 0.3) is None


def test_the_retained_error_by_hand() -> None:
    np.testing.assert_allclose(retained_error([0.3, 0.1, 0.2], [0.4, 0.9, 0.8]), [0.1, 0.15, 0.3])


@given(st.lists(st.tuples(UNIT, UNIT), min_size=1, max_size=40))
def test_the_best_order_retains_least_and_all_orders_end_alike(pairs: list[tuple[float, float]]) -> None:
    doubt, dices = ([pair[side] for pair in pairs] for side in (0, 1))
    best = retained_error([-value for value in dices], dices)
    found = retained_error(doubt, dices)
    assert (best <= found + 1e-12).all()
    assert found[-1] == pytest.approx(1 - np.mean(dices))


@given(st.lists(st.tuples(UNIT, UNIT), min_size=1, max_size=40))
def test_bins_hold_every_case_once_and_rise(pairs: list[tuple[float, float]]) -> None:
    expected, dices = ([pair[side] for pair in pairs] for side in (0, 1))
    groups = reliability_bins(expected, dices)
    counts = [group[2] for group in groups]
    assert sum(counts) == len(pairs)
    assert max(counts) - min(counts) <= 1
    assert [group[0] for group in groups] == sorted(group[0] for group in groups)
    assert sum(group[1] * group[2] for group in groups) == pytest.approx(sum(dices))


@given(st.permutations([0.6] * 3 + [1.0] * 5))
def test_the_order_of_equally_certain_cases_does_not_count(dices: list[float]) -> None:
    bad = [dice < 0.8 for dice in dices]
    assert quality_summary(judged(*((0.85, dice) for dice in dices)))["calibration_error"] == pytest.approx(0)
    np.testing.assert_allclose(retained_error([0.5] * 8, dices), [0.15] * 8)
    assert caught_share([0.5] * 8, bad, 0.25) == pytest.approx(0.25)


def test_a_model_with_perfect_certainty_is_summarised() -> None:
    found = quality_summary(judged(*[(x, x) for x in np.linspace(0.3, 0.95, 20).tolist()]))
    assert found["bad"] == 15  # Jaccard 0.65 is Dice 0.788
    sure = found["certainty"]
    assert isinstance(sure, dict)
    assert sure["rank_correlation"] == pytest.approx(1)
    assert sure["retained_error"] == found["best_retained_error"]
    assert sure["caught"] == {"0.1": 2 / 15, "0.2": 4 / 15, "0.3": 6 / 15}
    assert found["calibration_error"] == pytest.approx(0)
    assert found["agreement"] == sure


def test_what_was_not_known_is_not_summed_up() -> None:
    cases = [JudgedCase("a", 0.9, 0.8, 0.5), JudgedCase("b", 0.8, 0.7, 0.5)]
    found = quality_summary(cases)
    assert found.keys() == {"bad", "error", "best_retained_error", "certainty"}
    assert found["certainty"] == {
        "caught": {"0.1": None, "0.2": None, "0.3": None},
        "retained_error": pytest.approx(0.15),
        "rank_correlation": None,
    }


def test_expecting_too_much_is_a_calibration_error() -> None:
    found = quality_summary([JudgedCase(str(k), 0.6, 0.4, 0.9, 0.8) for k in range(7)])
    assert found["calibration_error"] == pytest.approx(0.2)
    assert (found["mean_dice"], found["mean_expected_dice"]) == (pytest.approx(0.6), pytest.approx(0.8))


def test_the_table_has_a_row_a_case(tmp_path: Path) -> None:
    write_rows(JudgedCase, [JudgedCase("a", 0.5, 1 / 3, 0.25)], tmp_path / "q.csv")
    with (tmp_path / "q.csv").open() as file:
        assert list(csv.DictReader(file)) == [
            {
                "id": "a",
                "dice": "0.5",
                "jaccard": "0.333333",
                "certainty": "0.25",
                "expected_dice": "",
                "agreement": "",
            }
        ]


def test_figures_show_what_was_computed() -> None:
    cases = judged((0.9, 0.95), (0.2, 0.3), (0.5, 0.9), (0.7, 0.6))
    caught, retained = retention_figure(cases).axes
    lines = {line.get_label(): line.get_ydata() for line in retained.lines}
    expected = retained_error([-case.certainty for case in cases], [case.dice for case in cases])
    np.testing.assert_allclose(lines["certainty"], expected)
    assert {line.get_label() for line in caught.lines} == {
        "by chance",
        "at best",
        "certainty",
        "agreement of samples",
    }
    (axes,) = reliability_figure(cases).axes
    np.testing.assert_allclose(axes.collections[0].get_offsets(), [[c.certainty, c.dice] for c in cases])


def test_figures_of_cases_without_a_bad_one_and_without_samples_are_drawn() -> None:
    cases = [JudgedCase("a", 0.9, 0.8, 0.5), JudgedCase("b", 0.95, 0.9, 0.6)]
    caught, retained = retention_figure(cases).axes
    assert len(caught.lines) == 1
    assert {line.get_label() for line in retained.lines} == {"by chance", "at best", "certainty"}
