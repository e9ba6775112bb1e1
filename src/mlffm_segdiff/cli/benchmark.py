"""``mlffm-segdiff benchmark``: the goals' table for this machine."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mlffm_segdiff.cli.common import (
    JsonOption,
    QuietOption,
    Reporter,
    ThreadsOption,
    set_threads,
)
from mlffm_segdiff.config.packaged import recipe_names

if TYPE_CHECKING:
    from mlffm_segdiff.benchmark.goals import Findings
    from mlffm_segdiff.benchmark.report import Found
    from mlffm_segdiff.benchmark.subject import Subject


def benchmark(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="Where the table and the chart go.")
    ],
    weights: Annotated[
        str,
        typer.Option(metavar="RUN|WEIGHTS", help="A run folder, a folder of weights, a hub id, or default."),
    ] = "default",
    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="RECIPE",
            help="Measure this recipe's network with random weights, which take the same time.",
            autocompletion=recipe_names,
        ),
    ] = None,
    precision: Annotated[
        Literal["auto", "float32", "bf16", "both"],
        typer.Option(
            help="Number format; auto is the faster one for one image at a time. Where the machine does not "
            "multiply bf16 natively, bf16 takes hours."
        ),
    ] = "auto",
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Measure only this: segmentation, denoising, training, peak, memory, predict. Repeatable.",
        ),
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Turns of each contestant.")] = 11,
    images: Annotated[int, typer.Option(min=1, help="Files for predict.")] = 1000,
    threads: ThreadsOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Measure how fast this machine segments and trains, side by side with other networks.

    Contestants take turns, so that what else the machine does hits all alike; ratios of their median times
    are compared with the project's goals, which are for two threads. Takes some minutes, and 4 GB of memory
    for DermoSegDiff. Writes benchmark.json, benchmark.md and benchmark.png.

    Example: mlffm-segdiff benchmark -o speed --only segmentation --only peak
    """
    from contextlib import ExitStack
    from tempfile import TemporaryDirectory

    from mlffm_segdiff.benchmark.chart import write_chart
    from mlffm_segdiff.benchmark.machine import machine_facts
    from mlffm_segdiff.benchmark.report import benchmark_values, write_report
    from mlffm_segdiff.benchmark.run import chosen_measurements, number_formats
    from mlffm_segdiff.benchmark.subject import load_subject, write_random_weights
    from mlffm_segdiff.segmenters.device import best_device

    names = chosen_measurements(only or [])
    set_threads(threads)
    reporter = Reporter(quiet, as_json)
    folder = output.expanduser()
    with ExitStack() as stack:
        measured = weights
        if recipe is not None:
            measured = stack.enter_context(TemporaryDirectory())
            write_random_weights(recipe, Path(measured))
        subjects = [
            load_subject(measured, number_format, repeats, images)
            for number_format in number_formats(precision)
        ]
        folder.mkdir(parents=True, exist_ok=True)
        found = {str(subject.precision): _measure(subject, names, reporter) for subject in subjects}
    command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])
    used = weights if recipe is None else f"random, of recipe {recipe}"
    facts = {"command": command, "weights": used, **machine_facts(best_device())}
    write_report(folder, facts, found)
    write_chart(folder, found, f"{facts['processor']}, {facts['device']}, {facts['threads']} threads")
    _print_tables(found, reporter)
    reporter.info(f"table, chart and all timings: {output}")
    reporter.result({"output": folder, **benchmark_values(facts, found)})


def _measure(subject: "Subject", names: Sequence[str], reporter: Reporter) -> "list[Findings]":
    from mlffm_segdiff.benchmark.run import MEASUREMENTS

    found = []
    for name in names:
        with reporter.status(f"measuring {name}, {subject.precision}"):
            found.append(MEASUREMENTS[name](subject))
    return found


def _print_tables(found: "Found", reporter: Reporter) -> None:
    from mlffm_segdiff.benchmark.report import GOAL_HEADER, fact_rows, goal_rows, sections

    shown = slice(1, 6)  # from what is measured to the number format: as much as a terminal has room for
    _print_table(GOAL_HEADER[shown], [row[shown] for row in goal_rows(found)], reporter)
    for section in sections(found):
        _print_table((section, *found), fact_rows(found, section), reporter)


def _print_table(header: Sequence[str], rows: Sequence[Sequence[str]], reporter: Reporter) -> None:
    from rich.table import Table

    table = Table(header[0])
    for column in header[1:]:
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(*row)
    reporter.console().print(table)
