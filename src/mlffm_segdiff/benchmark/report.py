"""What a benchmark found: rows of text for a terminal, `benchmark.json`, `benchmark.md`."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from mlffm_segdiff.benchmark.goals import Findings, Goal, Result
from mlffm_segdiff.benchmark.timing import Timing, quartiles
from mlffm_segdiff.data.atomic import atomic_write
from mlffm_segdiff.evaluation.report import markdown_table

JSON_FILE, MARKDOWN_FILE = "benchmark.json", "benchmark.md"
GOAL_HEADER = ("name", "what", "goal", "measured", "met", "format", "quartiles")
TIMING_HEADER = ("contestant", "format", "median, ms", "quartiles, ms", "turns")

Found = Mapping[str, Sequence[Findings]]
"""Findings by number format."""


def goal_rows(found: Found) -> list[tuple[str, ...]]:
    """Return one row of text a goal and format under GOAL_HEADER."""
    return [_goal_row(result, name) for name, result in results(found)]


def goal_notes(found: Found) -> list[str]:
    """Return what one must know to read the goals' figures, one sentence a goal or group of them."""
    notes: dict[str, list[str]] = {}
    for _, result in results(found):
        if result.goal.how:
            notes.setdefault(result.goal.how, []).append(result.goal.name)
    return [f"{' and '.join(dict.fromkeys(names))}: {how}." for how, names in notes.items()]


def fact_rows(found: Found, section: str) -> list[tuple[str, ...]]:
    """Return one row of text a fact of a section: its name, then its number in each format."""
    facts = {name: _facts(findings).get(section, {}) for name, findings in found.items()}
    keys = dict.fromkeys(key for numbers in facts.values() for key in numbers)
    return [
        (key, *(plain(numbers[key]) if key in numbers else "" for numbers in facts.values())) for key in keys
    ]


def timing_rows(found: Found) -> list[tuple[str, ...]]:
    """Return one row of text a contestant and format under TIMING_HEADER."""
    return [
        _timing_row(contestant, name, timing)
        for name, findings in found.items()
        for contestant, timing in _timings(findings).items()
    ]


def results(found: Found) -> list[tuple[str, Result]]:
    """Return every result with its format."""
    return [(name, result) for name, findings in found.items() for one in findings for result in one.results]


def sections(found: Found) -> list[str]:
    """Return the sections of facts in the order they were found."""
    return list(dict.fromkeys(section for findings in found.values() for section in _facts(findings)))


def benchmark_json(facts: Mapping[str, object], found: Found) -> str:
    """Return `benchmark_values` as JSON text."""
    return json.dumps(benchmark_values(facts, found), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def benchmark_values(facts: Mapping[str, object], found: Found) -> dict[str, object]:
    """Return the facts of the run, and all results, timings turn by turn, and numbers, as plain values."""
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
    """Return the same for reading: goals, what they count, the facts by section, the timings."""
    parts = [
        markdown_table(("run", ""), [(key, _words(value)) for key, value in facts.items()]),
        markdown_table(GOAL_HEADER, goal_rows(found)),
        "".join(f"- {note}\n" for note in goal_notes(found)),
        *(markdown_table((section, *found), fact_rows(found, section)) for section in sections(found)),
        markdown_table(TIMING_HEADER, timing_rows(found)),
    ]
    return "# Benchmark\n\n" + "\n".join(part for part in parts if part)


def write_report(folder: Path, facts: Mapping[str, object], found: Found) -> None:
    """Write JSON_FILE and MARKDOWN_FILE, each whole or not at all.

    Raises UserError where the folder cannot be written.
    """
    texts = {JSON_FILE: benchmark_json(facts, found), MARKDOWN_FILE: benchmark_markdown(facts, found)}
    for name, text in texts.items():
        with atomic_write(folder / name) as path:
            path.write_text(text, encoding="utf-8")


def plain(number: float) -> str:
    """Return a number with three digits that count, and never an exponent above 1."""
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"


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


def _timing_row(contestant: str, number_format: str, timing: Timing) -> tuple[str, ...]:
    median, low, high = (plain(1e3 * seconds) for seconds in quartiles(timing.seconds))
    return contestant, number_format, median, f"{low} to {high}", str(len(timing.seconds))


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
