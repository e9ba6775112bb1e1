"""Tables, chart and files of a benchmark's results."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure as Chart

from mlffm_segdiff.benchmark.goals import Findings, Goal, Result
from mlffm_segdiff.benchmark.timing import Timing, plain, quartiles
from mlffm_segdiff.evaluation.figures import save_figure
from mlffm_segdiff.evaluation.report import markdown_table
from mlffm_segdiff.files.atomic import sweep_unfinished, write_text
from mlffm_segdiff.files.results_folder import require_own

JSON_FILE, MARKDOWN_FILE, CHART_FILE = "benchmark.json", "benchmark.md", "benchmark.png"
GOAL_HEADER = ("name", "what", "goal", "measured", "met", "format", "quartiles")
TIMING_HEADER = ("contestant", "format", "median, ms", "quartiles, ms", "turns")
MET, MISSED = "#1b7837", "#d6604d"
SHORTEST, LONGEST = 0.01, 100.0

Found = Mapping[str, Sequence[Findings]]
"""Findings by number format."""


def goal_rows(found: Found) -> list[tuple[str, ...]]:
    """Return one row of text per goal and number format, under GOAL_HEADER."""
    return [_goal_row(result, name) for name, result in results(found)]


def goal_notes(found: Found) -> list[str]:
    """Return notes on how the figures were measured, one sentence for each goal or group of goals."""
    notes: dict[str, list[str]] = {}
    for _, result in results(found):
        if result.goal.how:
            notes.setdefault(result.goal.how, []).append(result.goal.name)
    return [f"{' and '.join(dict.fromkeys(names))}: {how}." for how, names in notes.items()]


def fact_rows(found: Found, section: str) -> list[tuple[str, ...]]:
    """Return one row of text per fact of a section: its name, then its number in each format."""
    facts = {name: _facts(findings).get(section, {}) for name, findings in found.items()}
    keys = dict.fromkeys(key for numbers in facts.values() for key in numbers)
    return [
        (key, *(plain(numbers[key]) if key in numbers else "" for numbers in facts.values())) for key in keys
    ]


def timing_rows(found: Found) -> list[tuple[str, ...]]:
    """Return one row of text per contestant and number format, under TIMING_HEADER."""
    rows: list[tuple[str, ...]] = []
    for name, findings in found.items():
        for contestant, timing in _timings(findings).items():
            median, low, high = (plain(1e3 * seconds) for seconds in quartiles(timing.seconds))
            rows.append((contestant, name, median, f"{low} to {high}", str(len(timing.seconds))))
    return rows


def results(found: Found) -> list[tuple[str, Result]]:
    """Return every result with its number format."""
    return [(name, result) for name, findings in found.items() for one in findings for result in one.results]


def sections(found: Found) -> list[str]:
    """Return the names of the sections of facts."""
    return list(dict.fromkeys(section for findings in found.values() for section in _facts(findings)))


def benchmark_values(facts: Mapping[str, object], found: Found) -> dict[str, object]:
    """Return the content of benchmark.json: facts of the run, results, timings of every turn, and numbers."""
    return {
        **facts,
        "goals": [{"format": name, **_result_values(result)} for name, result in results(found)],
        "timings": {
            name: {key: _timing_values(timing) for key, timing in _timings(findings).items()}
            for name, findings in found.items()
        },
        "facts": {name: _facts(findings) for name, findings in found.items()},
    }


def benchmark_markdown(facts: Mapping[str, object], found: Found) -> str:
    """Return the content of benchmark.md: goals with notes, facts by section, and timings."""
    parts = [
        markdown_table(("run", ""), [(key, _words(value)) for key, value in facts.items()]),
        markdown_table(GOAL_HEADER, goal_rows(found)),
        "".join(f"- {note}\n" for note in goal_notes(found)),
        *(markdown_table((section, *found), fact_rows(found, section)) for section in sections(found)),
        markdown_table(TIMING_HEADER, timing_rows(found)),
    ]
    return "# Benchmark\n\n" + "\n".join(part for part in parts if part)


def require_own_report(folder: Path) -> None:
    """Raise UserError if the folder cannot be written, or its files are not those of an earlier benchmark."""
    files = JSON_FILE, MARKDOWN_FILE, CHART_FILE
    try:
        earlier = "goals" in json.loads((folder / JSON_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        earlier = False
    require_own(folder, files, files if earlier else ())


def write_report(folder: Path, facts: Mapping[str, object], found: Found) -> None:
    """Write JSON_FILE and MARKDOWN_FILE.

    Args:
        folder: Folder to write to.
        facts: Facts about the run and the machine.
        found: Findings by number format.

    Raises:
        UserError: The folder cannot be written.
    """
    values = json.dumps(benchmark_values(facts, found), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    sweep_unfinished(folder)
    texts = {JSON_FILE: values, MARKDOWN_FILE: benchmark_markdown(facts, found)}
    for name, text in texts.items():
        write_text(folder / name, text)


def _goal_row(result: Result, number_format: str) -> tuple[str, ...]:
    goal, figure = result.goal, result.figure
    if figure is None:
        return goal.name, goal.what, _bound(goal), result.note, "", number_format, ""
    measured = f"{plain(figure.value)} {goal.unit}"
    met = "yes" if goal.met(figure.value) else "no"
    spread = f"{plain(figure.low)} to {plain(figure.high)}" if figure.low < figure.high else ""
    return goal.name, goal.what, _bound(goal), measured, met, number_format, spread


def _bound(goal: Goal) -> str:
    return f"{'at most' if goal.at_most else 'at least'} {plain(goal.bound)}"


def _result_values(result: Result) -> dict[str, object]:
    goal, figure = result.goal, result.figure
    return {
        "goal": goal.name,
        "what": goal.what,
        "bound": goal.bound,
        "at_most": goal.at_most,
        "unit": goal.unit,
        "how": goal.how,
        "figure": figure and figure.value,
        "quartiles": figure and [figure.low, figure.high],
        "met": figure and goal.met(figure.value),
        "note": result.note,
    }


def _timing_values(timing: Timing) -> dict[str, object]:
    median, low, high = quartiles(timing.seconds)
    return {"median_s": median, "quartiles_s": [low, high], "turns_s": list(timing.seconds)}


def _facts(findings: Sequence[Findings]) -> dict[str, dict[str, float]]:
    merged: dict[str, dict[str, float]] = {}
    for one in findings:
        for section, numbers in one.facts.items():
            merged.setdefault(section, {}).update(numbers)
    return merged


def _timings(findings: Sequence[Findings]) -> dict[str, Timing]:
    return {key: timing for one in findings for key, timing in one.timings.items()}


def _words(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_words(one)}" for key, one in value.items())
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def goal_chart(found: Found, title: str) -> Chart:
    """Draw one bar per measured goal: how many times better than the goal, on a logarithmic axis.

    Bars are limited to SHORTEST and LONGEST.
    """
    measured = [(name, result) for name, result in results(found) if result.figure is not None]
    chart = Chart(figsize=(8, 1.3 + 0.4 * len(measured)), layout="constrained")
    axes = chart.add_subplot(xscale="log", xlim=(SHORTEST, LONGEST), xlabel="times better than the goal")
    margins = [_margin(result) for _, result in measured]
    axes.barh(
        range(len(measured)),
        [margin - 1 for margin in margins],
        left=1,
        color=[MET if margin >= 1 else MISSED for margin in margins],
    )
    axes.set_yticks(range(len(measured)), _labels(measured))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.invert_yaxis()
    axes.axvline(1, color="black", linewidth=1)
    axes.set_title(title, fontsize=9)
    return chart


def write_chart(folder: Path, found: Found, title: str) -> None:
    """Write CHART_FILE. Raises UserError if it cannot be written."""
    save_figure(goal_chart(found, title), folder / CHART_FILE)


def _labels(measured: Sequence[tuple[str, Result]]) -> list[str]:
    return [
        f"{result.goal.name}, {name}: {plain(result.figure.value)} {result.goal.unit}"
        for name, result in measured
        if result.figure is not None
    ]


def _margin(result: Result) -> float:
    assert result.figure is not None
    value = result.figure.value
    margin = result.goal.margin(value) if value > 0 else LONGEST
    return min(max(margin, SHORTEST), LONGEST)
