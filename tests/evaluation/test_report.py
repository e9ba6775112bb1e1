import csv
import json
from pathlib import Path

import numpy as np
import pytest

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.evaluation.report import (
    HEADLINE_HEADER,
    SUMMARY_HEADER,
    cases_csv,
    columns_of_words,
    headline_row,
    markdown_table,
    summaries,
    summary_rows,
    write_report,
)
from mlffm_segdiff.evaluation.rows import EvaluatedCase, column_names
from mlffm_segdiff.metrics.case_scores import SCORE_NAMES, score_case


def case(name: str, found: int, network: int | None = None) -> EvaluatedCase:
    """A lesion of 10 x 10 pixels in 10 x 20, of which `found` rows were found."""
    truth = np.zeros((10, 20), bool)
    truth[:, :10] = True

    def predicted(rows: int) -> np.ndarray:
        return truth & (np.arange(10)[:, None] < rows)

    at_network = None if network is None else score_case(predicted(network), truth)
    return EvaluatedCase(name, score_case(predicted(found), truth), at_network)


def test_the_table_has_a_row_a_case_that_reads_back() -> None:
    cases = [case("b, the second", 10, 9), case("a", 7, 5)]
    rows = list(csv.DictReader(cases_csv(cases).splitlines()))
    assert list(rows[0]) == column_names(with_network=True)
    assert [row["id"] for row in rows] == ["b, the second", "a"]
    for row, evaluated in zip(rows, cases, strict=True):
        for name in SCORE_NAMES:
            assert float(row[name]) == pytest.approx(getattr(evaluated.source, name), abs=1e-6)
            assert float(row[f"network_{name}"]) == pytest.approx(getattr(evaluated.network, name), abs=1e-6)
    assert (rows[1]["jaccard"], rows[1]["tp"], rows[1]["network_jaccard"]) == ("0.7", "70", "0.5")


def test_the_report_is_two_files_with_the_facts_and_both_resolutions(tmp_path: Path) -> None:
    cases = [case("a", 10, 9), case("b", 6, 5)]
    found = write_report(tmp_path / "report", cases, {"model": "runs/x", "missing": ["c"]})
    assert sorted(path.name for path in (tmp_path / "report").iterdir()) == ["cases.csv", "summary.json"]
    content = json.loads((tmp_path / "report" / "summary.json").read_text())
    assert (content["model"], content["missing"]) == ("runs/x", ["c"])
    assert content["source"]["cases"] == 2
    assert content["source"]["per_image"]["jaccard"]["mean"] == pytest.approx(0.8)
    assert content["source"]["pooled"]["jaccard"] == pytest.approx(0.8)
    assert content["network"]["per_image"]["jaccard"]["mean"] == pytest.approx(0.7)
    assert content["network"]["per_image"]["jaccard"]["low"] == pytest.approx(
        found["network"].per_image["jaccard"].low
    )


def test_masks_without_a_model_have_no_network_resolution() -> None:
    assert list(summaries([case("a", 3)])) == ["source"]
    assert "network" not in cases_csv([case("a", 3)])


def test_one_case_has_null_ends_in_the_file_and_words_in_the_table(tmp_path: Path) -> None:
    found = write_report(tmp_path, [case("a", 5)], {})
    content = json.loads((tmp_path / "summary.json").read_text())
    assert content["source"]["per_image"]["dice"] == {"mean": pytest.approx(2 / 3), "low": None, "high": None}
    assert ("Dice", "0.6667", "one image", "0.6667") in summary_rows(found["source"])


def test_the_same_cases_give_the_same_files(tmp_path: Path) -> None:
    cases = [case(str(rows), rows) for rows in range(1, 9)]
    for name in ("one", "two"):
        write_report(tmp_path / name, cases, {"seed": 3}, seed=3)
    for file in ("cases.csv", "summary.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_facts_that_cannot_be_written_leave_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        write_report(tmp_path, [case("a", 5)], {"model": object()})
    assert not list(tmp_path.iterdir())


def test_no_case_is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no case"):
        write_report(tmp_path, [], {})


def test_summary_rows_show_distances_in_pixels_and_ratios_in_four_digits() -> None:
    rows = {row[0]: row for row in summary_rows(summaries([case("a", 10), case("b", 5)])["source"])}
    assert len(rows) == len(SCORE_NAMES)
    assert all(len(row) == len(SUMMARY_HEADER) for row in rows.values())
    assert rows["Jaccard"] == ("Jaccard", "0.7500", "0.5000 to 1.0000", "0.7500")
    assert rows["Jaccard, 0 below 0.65"] == ("Jaccard, 0 below 0.65", "0.5000", "0.0000 to 1.0000", "")
    # a is exact; of b's true contour the bottom row, 10 of 36 pixels, is 5 away
    assert rows["HD95 (px)"] == ("HD95 (px)", "2.50", "0.00 to 5.00", "")
    assert rows["HD95 (% of diagonal)"][1] == "11.18"  # 2.5 of sqrt(10^2 + 20^2)


def test_a_headline_fills_its_header() -> None:
    row = headline_row("small", summaries([case("a", 10), case("b", 5)])["source"])
    assert len(row) == len(HEADLINE_HEADER)
    named = dict(zip(HEADLINE_HEADER, row, strict=True))
    assert named["Jaccard, per image"] == "0.7500 (0.5000 to 1.0000)"
    assert named["thresholded Jaccard"] == "0.5000"
    assert named["HD95 (px)"] == "2.50"
    assert named["HD95 (% of diagonal)"] == "11.18"
    assert (named["result"], named["cases"], named["Jaccard, pooled"]) == ("small", "2", "0.7500")


def test_columns_of_words_are_the_first_and_those_with_a_letter_ahead() -> None:
    rows = [("0.1", "ph2", "+0.2", "-"), ("0.3", "-", "< 0.001", "-")]
    assert columns_of_words(("a", "b", "c", "d"), rows) == [True, True, False, False]


def test_a_markdown_table_is_aligned_by_its_second_line() -> None:
    assert markdown_table(("score", "mean"), [("dice", "0.9"), ("hd95", "3.10")]) == (
        "| score | mean |\n| :-- | --: |\n| dice | 0.9 |\n| hd95 | 3.10 |\n"
    )
