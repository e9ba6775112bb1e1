"""``mlffm-segdiff study``: plan, run and report a grid of training runs, or repeat one of them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlffm_segdiff.cli.common import (
    DeviceOption,
    ExitStatus,
    JsonOption,
    PropertiesOption,
    QuietOption,
    Reporter,
    parse_source,
)
from mlffm_segdiff.cli.environment import Verbs
from mlffm_segdiff.cli.terminal import say
from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.packaged import study_names
from mlffm_segdiff.config.paths import expanded
from mlffm_segdiff.segmenters.device import AUTO

if TYPE_CHECKING:
    from rich.table import Table

    from mlffm_segdiff.study.cells import Cell
    from mlffm_segdiff.study.launchers.base import Launcher
    from mlffm_segdiff.study.plan import StudyPlan
    from mlffm_segdiff.study.study_folder import StudyFolder

study = Verbs(help="Train and score variants under the same conditions, and report what differs.")

StudyArgument = Annotated[
    str,
    typer.Argument(
        metavar="STUDY",
        help=f"A YAML file, or a packaged study: {', '.join(study_names())}.",
        autocompletion=study_names,
    ),
]
OverridesArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY=VALUE]...",
        help="Changes of all recipes, such as train.images=4000 (overrides of a data set or variant take "
        "precedence), of the launcher, such as launcher.name=local launcher.workers=4, or of the study's "
        "seeds=[0], part=val and rank=true.",
    ),
]
OutputOption = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FOLDER", help="The study's folder [default: studies/NAME]."),
]
SourceOption = Annotated[
    list[str] | None,
    typer.Option("--source", metavar="NAME=PATH", help="Folder of a data set, or of its source. Repeatable."),
]
ReuseOption = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="FOLDER", help="A study, possibly shared, from which the same cells are copied. Repeatable."
    ),
]


@study.command(short_help="Check a study and list its cells. Trains nothing.")
def plan(
    name: StudyArgument,
    overrides: OverridesArgument = None,
    output: OutputOption = None,
    source: SourceOption = None,
    reuse: ReuseOption = None,
    device: DeviceOption = AUTO,
    no_time: Annotated[
        bool, typer.Option("--no-time", help="Do not measure how long unfinished cells will take.")
    ] = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Check a study and list its cells, with their state and minutes: those that finished ones took, and
    those that unfinished ones will take, from 20 steps measured of each network, image and batch size. Cells
    that `study run --reuse` would copy are "to copy"; those with weights, but without all scores, "to score".

    Writes nothing. Example: mlffm-segdiff study plan evidence --source isic2018=DATA --source ph2=DATA
    """
    from mlffm_segdiff.config.study import load_study
    from mlffm_segdiff.study.plan_time import cells_at_once, makespan
    from mlffm_segdiff.study.progress import StudyProgress
    from mlffm_segdiff.study.runner import HERE, changes, losses, make_plan
    from mlffm_segdiff.study.study_folder import StudyFolder
    from mlffm_segdiff.study.transfer import check_studies, next_state
    from mlffm_segdiff.training.time_estimate import duration

    loaded, reporter = load_study(name, overrides or ()), Reporter(quiet, as_json)
    folder = StudyFolder.of(loaded.name, output)
    planned = make_plan(loaded, folder, _sources(source), device)
    progress = StudyProgress(planned, folder)
    for change in (*changes(planned, folder), *losses(planned, folder)):
        reporter.warn(change)
    others = _study_folders(reuse)
    check_studies(others)
    states = {cell.key: next_state(cell, planned, folder, others) for cell in planned.cells}
    left = [cell for cell in planned.cells if states[cell.key] not in ("done", "to copy", "to score")]
    estimates = {} if no_time else _estimates(planned, left, loaded.launcher.name in HERE, reporter)
    rows = [
        {
            "key": cell.key,
            "variant": cell.variant,
            "dataset": cell.dataset,
            "seed": cell.seed,
            "state": states[cell.key],
            "minutes": _minutes(progress.seconds(cell)),
            "estimated_minutes": _minutes(estimates.get(cell.key)),
        }
        for cell in planned.cells
    ]
    reporter.console().print(_cell_table(rows))
    counts = Counter(states.values())
    reporter.info(f"{len(states)} cells: {', '.join(f'{count} {state}' for state, count in counts.items())}")
    total = None
    if estimates:
        workers = cells_at_once(loaded.launcher, planned.threads, len(estimates))
        total = makespan(estimates.values(), workers)
        reporter.info(
            f"training takes about {duration(total)} on this machine for {len(estimates)} of "
            f"{len(planned.cells)} cells, {workers} at a time; scoring is not included"
        )
    reporter.result(
        {"output": folder.path, "threads": planned.threads, "training_seconds": total, "cells": rows}
    )


@study.command(short_help="Train and score the unfinished cells, and write the report.")
def run(
    name: StudyArgument,
    overrides: OverridesArgument = None,
    output: OutputOption = None,
    source: SourceOption = None,
    reuse: ReuseOption = None,
    device: DeviceOption = AUTO,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train and score every variant on every data set with every seed, and write the report.

    Finished cells are not run again: after any interruption, the same command resumes the study. A cell that
    fails does not stop the others, and the next call retries it. Exit status 1 if cells failed.

    launcher.name is in-process, local (processes), slurm or ray; further keys are workers, threads, gpus,
    memory_gb, partition, minutes and address (docs/STUDIES.md).

    Example: mlffm-segdiff study run evidence --source isic2018=DATA/isic2018 --source ph2=DATA/ph2
    """
    from mlffm_segdiff.config.extra import needs_extra
    from mlffm_segdiff.config.study import load_study
    from mlffm_segdiff.study.runner import start_study
    from mlffm_segdiff.study.study_folder import StudyFolder
    from mlffm_segdiff.study.transfer import reuse_cells

    with needs_extra("study"):
        from mlffm_segdiff.study.report import write_report
    loaded, reporter = load_study(name, overrides or ()), Reporter(quiet, as_json)
    folder = StudyFolder.of(loaded.name, output)
    others = _study_folders(reuse)
    planned, launcher = start_study(loaded, folder, _sources(source), device, others)
    reused = reuse_cells(planned, folder, others)
    if reuse:
        reporter.info(
            f"copied from other studies: {len(reused.finished)} finished cells and the training of "
            f"{len(reused.trained)} more, of {len(planned.cells)}"
        )
    failures = _run_cells(planned, folder, launcher, reporter)
    report = write_report(folder.path)
    reporter.info(f"report: {report}")
    reporter.result({"output": folder.path, "report": report, "failed": failures})
    if failures:
        raise typer.Exit(ExitStatus.FAULTS)


@study.command(short_help="Write the report of a study again, finished or not.")
def report(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The study's folder.")],
    properties: PropertiesOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write the report of a study from its files. Trains nothing; an unfinished study lists what is missing.

    Example: mlffm-segdiff study report studies/evidence
    """
    from mlffm_segdiff.config.extra import needs_extra

    with needs_extra("study"):
        from mlffm_segdiff.study.report import write_report
    table = properties and expanded(properties)
    reporter, written = Reporter(quiet, as_json), write_report(expanded(folder), table)
    reporter.info(f"report: {written}")
    reporter.result({"output": folder, "report": written})


@study.command(short_help="Copy what a study's report is made from, to publish it.")
def share(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The study's folder.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="A new folder.")],
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Copy the plan, the scores and the learning curves of a study's finished cells into a new folder.

    The copy has no weights, images or paths of data. `study report` writes the report from it, without the
    parts that need weights or data.

    Example: mlffm-segdiff study share studies/evidence -o published/evidence
    """
    from mlffm_segdiff.study.study_folder import StudyFolder
    from mlffm_segdiff.study.transfer import share_study

    files = share_study(StudyFolder(expanded(folder)), expanded(output))
    reporter = Reporter(quiet, as_json)
    size = sum(file.stat().st_size for file in files)
    reporter.info(f"{output}: {len(files)} files, {size / 1e6:.1f} MB")
    reporter.result({"output": output, "files": len(files), "bytes": size})


@study.command(short_help="Train one cell again elsewhere, and compare the weights.")
def repeat(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The study's folder.")],
    cell: Annotated[str, typer.Argument(metavar="CELL", help="The key of a cell, or its beginning.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Another folder.")],
    source: SourceOption = None,
    device: DeviceOption = AUTO,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train and score one cell of a study again, and report whether its weights are identical, byte for byte.

    Exit status 1 if they differ. Example: mlffm-segdiff study repeat studies/evidence 3f0c -o again
    """
    from mlffm_segdiff.study.launchers.in_process import InProcess
    from mlffm_segdiff.study.repeat import plan_repeat, same_weights, weights_file
    from mlffm_segdiff.study.runner import changes
    from mlffm_segdiff.study.study_folder import StudyFolder

    original, repeated = StudyFolder(expanded(folder)), StudyFolder(expanded(output))
    reporter = Reporter(quiet, as_json)
    planned = plan_repeat(original, cell, repeated, _sources(source), device)
    for change in changes(planned, original):
        reporter.warn(change)
    if not weights_file(original, planned).is_file():
        reporter.warn(f"{original.path} has no weights of this cell, so there is nothing to compare")
    failures = _run_cells(planned, repeated, InProcess(planned.threads), reporter)
    same = None if failures else same_weights(original, repeated, planned)
    run_folder = weights_file(repeated, planned).parent.parent
    reporter.result({"run": None if failures else run_folder, "same": same, "failed": failures})
    if not failures:
        reporter.info(f"run folder: {run_folder}")
    if same is not None:
        words = "are identical, byte for byte, to" if same else "differ from"
        reporter.info(f"its weights {words} those in {weights_file(original, planned).parent}")
    if failures or same is False:
        raise typer.Exit(ExitStatus.FAULTS)


def _minutes(seconds: float | None) -> float | None:
    return None if seconds is None else seconds / 60


def _cell_table(rows: Sequence[Mapping[str, object]]) -> "Table":
    """Return the cells of a plan as a table; minutes still to come are "about"."""
    from rich.table import Table

    table = Table("cell", "variant", "data set", "seed", "state", "minutes")
    for row in rows:
        *labels, took, expected = row.values()
        shown = "" if expected is None else f"about {expected:.1f}"
        table.add_row(*map(str, labels), shown if took is None else f"{took:.1f}")
    return table


def _estimates(
    planned: "StudyPlan", cells: "Sequence[Cell]", here: bool, reporter: Reporter
) -> dict[str, float]:
    """Return the seconds that the training of each cell will take, by key; warn of impossible ones.

    Cells that run on other machines, not ``here``, have no times if this machine cannot measure them.
    """
    from mlffm_segdiff.study.plan_time import estimate_cells

    try:
        estimates, errors = estimate_cells(planned, cells, reporter.status)
    except UserError as reason:
        if here:
            raise
        reporter.warn(f"times cannot be measured on this machine: {reason}")
        return {}
    for key, error in errors.items():
        reporter.warn(f"cannot be trained: {planned.cell(key)}: {error}")
    return {key: estimate.seconds for key, estimate in estimates.items()}


def _sources(texts: list[str] | None) -> dict[str, Path | None]:
    named = dict(parse_source(text) for text in texts or ())
    return {name: expanded(path).absolute() if path else None for name, path in named.items()}


def _study_folders(paths: list[Path] | None) -> "list[StudyFolder]":
    from mlffm_segdiff.study.study_folder import StudyFolder

    return [StudyFolder(expanded(path)) for path in paths or ()]


def _run_cells(
    planned: "StudyPlan", folder: "StudyFolder", launcher: "Launcher", reporter: Reporter
) -> Mapping[str, str]:
    """Run the unfinished cells under a live table; return the errors of failed ones, also on stderr."""
    from mlffm_segdiff.cli.live_table import LiveTable
    from mlffm_segdiff.study.progress import StudyProgress
    from mlffm_segdiff.study.runner import changes, run_cells

    for change in changes(planned, folder):
        reporter.warn(change)
    table = LiveTable(StudyProgress(planned, folder), reporter.console())
    try:
        with table.shown():
            failures = run_cells(planned, folder, launcher, table.print_end)
    except KeyboardInterrupt:
        say("stopped; the same command resumes the study", err=True)
        raise
    for key, error in failures.items():
        say(f"failed: {planned.cell(key)}: {error} (see {folder.cell(key).failed})", err=True)
    if failures:
        say("the same command tries the failed cells again", err=True)
    return failures
