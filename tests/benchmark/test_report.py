import json
from pathlib import Path

import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle
from PIL import Image

from mlffm_segdiff.benchmark.goals import Findings, Goal, Result
from mlffm_segdiff.benchmark.report import (
    GOAL_HEADER,
    MET,
    MISSED,
    Found,
    benchmark_markdown,
    benchmark_values,
    fact_rows,
    goal_chart,
    goal_notes,
    goal_rows,
    plain,
    sections,
    timing_rows,
    write_chart,
    write_report,
)
from mlffm_segdiff.benchmark.timing import Figure, Timing, figure

FAST = Goal("fast", "time of a over b", 1.0, True, "x", "both on one thread")
LARGE = Goal("large", "many times b", 20_000.0, False, "x", "both on one thread")
UNTRIED = Goal("untried", "accuracy", 0.002, True, "Jaccard")

FOUND: Found = {
    "float32": [
        Findings(
            (Result(FAST, Figure(1.2345, 1.1, 1.3)), Result(LARGE, Figure(23456.7, 23456.7, 23456.7))),
            {"a": Timing((0.004, 0.002, 0.003))},
            {"rates": {"a, images/s": 12.0}},
        ),
        Findings((Result(UNTRIED, None, "not measured: why"),), facts={"rates": {"b, images/s": 1234.5}}),
    ],
    "bf16": [Findings((Result(FAST, Figure(0.5, 0.4, 0.6)),), facts={"rates": {"a, images/s": 30.0}})],
}


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.00213, "0.00213"),
        (1.2345, "1.23"),
        (12.0, "12"),
        (99.96, "100"),
        (234.56, "235"),
        (23456.7, "23,457"),
    ],
)
def test_numbers_as_people_read_them(number: float, text: str) -> None:
    assert plain(number) == text


def test_goals_as_rows() -> None:
    rows = goal_rows(FOUND)
    assert {len(row) for row in rows} == {len(GOAL_HEADER)}
    assert rows == [
        ("fast", "time of a over b", "at most 1", "1.23 x", "no", "float32", "1.1 to 1.3"),
        ("large", "many times b", "at least 20,000", "23,457 x", "yes", "float32", ""),
        ("untried", "accuracy", "at most 0.002", "not measured: why", "", "float32", ""),
        ("fast", "time of a over b", "at most 1", "0.5 x", "yes", "bf16", "0.4 to 0.6"),
    ]
    assert goal_notes(FOUND) == ["fast and large: both on one thread."]


def test_numbers_of_a_section_have_a_column_for_each_format() -> None:
    assert sections(FOUND) == ["rates"]
    assert fact_rows(FOUND, "rates") == [("a, images/s", "12", "30"), ("b, images/s", "1,234", "")]


def test_timings_are_in_milliseconds() -> None:
    assert timing_rows(FOUND) == [("a", "float32", "3", "2.5 to 3.5", "3")]


def test_json_holds_every_turn_and_goal() -> None:
    found = json.loads(json.dumps(benchmark_values({"processor": "One"}, FOUND)))
    assert found["processor"] == "One"
    assert [(goal["goal"], goal["format"], goal["figure"], goal["met"]) for goal in found["goals"]] == [
        ("fast", "float32", 1.2345, False),
        ("large", "float32", 23456.7, True),
        ("untried", "float32", None, None),
        ("fast", "bf16", 0.5, True),
    ]
    assert found["goals"][0]["quartiles"] == [1.1, 1.3]
    assert found["goals"][2]["note"] == "not measured: why"
    assert found["timings"]["float32"]["a"] == {
        "median_s": 0.003,
        "quartiles_s": [0.0025, 0.0035],
        "turns_s": [0.004, 0.002, 0.003],
    }
    assert found["facts"]["float32"] == {"rates": {"a, images/s": 12.0, "b, images/s": 1234.5}}


def test_markdown_reads_as_tables() -> None:
    text = benchmark_markdown({"flags": {"avx2": True, "amx": False}, "threads": 2}, FOUND)
    lines = text.splitlines()
    assert "| flags | avx2 yes, amx no |" in lines
    assert "| threads | 2 |" in lines
    assert "| fast | time of a over b | at most 1 | 1.23 x | no | float32 | 1.1 to 1.3 |" in lines
    assert "- fast and large: both on one thread." in lines
    assert "| rates | float32 | bf16 |" in lines


def test_files_are_written_and_what_a_killed_run_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / "new" / ".part-abcd_123").mkdir(parents=True)
    write_report(tmp_path / "new", {}, FOUND)
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["benchmark.json", "benchmark.md"]
    assert json.loads((tmp_path / "new" / "benchmark.json").read_text())["goals"]
    assert (tmp_path / "new" / "benchmark.md").read_text().startswith("# Benchmark\n")


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
