"""``mlffm-segdiff benchmark``: speed and memory of this machine against the project's goals."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mlffm_segdiff.cli.common import (
    DeviceOption,
    JsonOption,
    QuietOption,
    Reporter,
    ThreadsOption,
    refuse_given,
    set_threads,
)
from mlffm_segdiff.cli.runtime import WeightsOption
from mlffm_segdiff.config.command_line import command_line
from mlffm_segdiff.config.packaged import recipe_names
from mlffm_segdiff.config.paths import expanded
from mlffm_segdiff.segmenters.device import AUTO

if TYPE_CHECKING:
    from mlffm_segdiff.benchmark.report import Found


def benchmark(
    context: typer.Context,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Folder for the report.")],
    weights: WeightsOption = "default",
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
            case_sensitive=False,
            help="Number format; auto is the faster one at batch 1. Without native bf16 support, bf16 takes "
            "hours.",
        ),
    ] = "auto",
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Measure only this: segmentation, denoising, training, peak, memory, predict. Repeatable.",
        ),
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Repetitions of each measurement.")] = 11,
    images: Annotated[int, typer.Option(min=1, help="Number of files for predict.")] = 1000,
    device: DeviceOption = AUTO,
    threads: ThreadsOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Measure how fast this machine segments and trains, compared with other networks.

    Networks are measured in turn, so that other load affects all equally; ratios of their median times are
    compared with the project's goals, which are for two threads. Takes a few minutes, and 4 GB of memory for
    DermoSegDiff. Writes benchmark.json, benchmark.md and benchmark.png.

    Example: mlffm-segdiff benchmark -o speed --only segmentation --only peak
    """
    from mlffm_segdiff.benchmark.report import benchmark_values
    from mlffm_segdiff.benchmark.run import BenchmarkPlan, chosen_measurements, run_benchmark

    names = chosen_measurements(only or [])
    if recipe is not None:
        refuse_given(context, "--recipe is measured with random weights", "weights")
    if "predict" not in names:
        refuse_given(context, "only the measurement predict reads files", "images")
    plan = BenchmarkPlan(weights, recipe, precision, names, repeats, images, device)
    reporter, folder = Reporter(quiet, as_json), expanded(output)
    set_threads(threads)
    facts, found = run_benchmark(plan, folder, command_line(), reporter.status)
    _print_tables(found, reporter)
    reporter.info(f"table, chart and all timings: {output}")
    reporter.result({"output": folder, **benchmark_values(facts, found)})


def _print_tables(found: "Found", reporter: Reporter) -> None:
    from mlffm_segdiff.benchmark.report import GOAL_HEADER, fact_rows, goal_rows, sections

    shown = slice(1, 6)  # what fits on a terminal: from what is measured to the number format
    reporter.table(GOAL_HEADER[shown], [row[shown] for row in goal_rows(found)])
    for section in sections(found):
        reporter.table((section, *found), fact_rows(found, section))
