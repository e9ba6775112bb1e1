"""``mlffm-segdiff ablate`` and ``mlffm-segdiff compare``: a grid of trainings, their scores, and a report."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mlffm_segdiff.cli.common import (
    ExitStatus,
    JsonOption,
    QuietOption,
    Reporter,
    default_threads,
    parse_source,
)
from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.packaged import study_names

if TYPE_CHECKING:
    from mlffm_segdiff.config.study import Study
    from mlffm_segdiff.study.folder import StudyFolder
    from mlffm_segdiff.study.launchers.base import Launcher
    from mlffm_segdiff.study.lock import StudyLock

Kind = Literal["ablation", "comparison"]
KINDS: Mapping[str, Kind] = {"ablate": "ablation", "compare": "comparison"}


def study(
    context: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="STUDY",
            show_default=False,
            help=f"A YAML file, or one of the package: {', '.join(study_names())}.",
            autocompletion=study_names,
        ),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...",
            help="Recipe keys to change in all variants, such as train.images=4000; a data set's or a "
            "variant's own overrides go over them.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FOLDER", help="The study's folder [default: studies/STUDY's name]."
        ),
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option(
            "--source",
            metavar="NAME=PATH",
            help="Where a data set of the study, or its source, lies. Repeatable.",
        ),
    ] = None,
    launcher: Annotated[
        Literal["in-process", "processes", "slurm", "ray"], typer.Option(help="What runs the cells.")
    ] = "in-process",
    workers: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Cells at once, but for in-process [default: as many as fit]."),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Processor threads of a cell. The last digits of scores depend on it, so a study keeps its "
            "number [default: half of the processors, shared among workers].",
        ),
    ] = None,
    gpus: Annotated[
        float | None, typer.Option(min=0, metavar="N", help="GPUs of a cell, a share of one below 1.")
    ] = None,
    ray: Annotated[str, typer.Option(metavar="ADDRESS", help="Of the Ray cluster.")] = "auto",
    memory: Annotated[
        float | None, typer.Option(min=0, metavar="GB", help="Memory of a cell, for slurm and ray.")
    ] = None,
    partition: Annotated[str | None, typer.Option(metavar="NAME", help="Slurm's partition.")] = None,
    minutes: Annotated[int | None, typer.Option(min=1, metavar="N", help="Slurm's limit of a cell.")] = None,
    accept_code: Annotated[
        bool, typer.Option("--accept-code", help="Keep finished cells that other code trained.")
    ] = False,
    report_only: Annotated[
        bool, typer.Option("--report-only", help="Report on what is finished; train nothing.")
    ] = False,
    lock: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="In place of STUDY: a study.lock, to run --cell of it again."),
    ] = None,
    cell: Annotated[
        str | None, typer.Option(metavar="KEY", help="The key of a cell in --lock, or its beginning.")
    ] = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Run a study: train and score every variant on every data set with every seed, and report.

    What is finished is not run again: after any interruption the same command goes on. A cell that fails is
    told, the others go on, and the next call tries it again. Exit status 1 if cells failed.

    Examples: mlffm-segdiff ablate decisive --source isic2018=/data/isic2018 --source ph2=/data/ph2;
    mlffm-segdiff ablate --lock studies/decisive/study.lock --cell 3f0c -o again
    """
    from mlffm_segdiff.config.study import load_study
    from mlffm_segdiff.study.folder import StudyFolder
    from mlffm_segdiff.study.launchers.table import make_launcher

    if (lock is None) != (cell is None) or (lock is None) == (name is None):
        raise UserError("give either a STUDY, or both --lock FILE and --cell KEY")
    if lock is not None and (output is None or overrides or threads or report_only):
        raise UserError(
            "--lock and --cell need -o FOLDER, and take no KEY=VALUE, no --threads and no --report-only"
        )
    engine = partial(
        make_launcher,
        launcher,
        workers,
        address=ray,
        gpus=gpus,
        memory_gb=memory,
        partition=partition,
        minutes=minutes,
    )
    sources, reporter = _sources(source or []), Reporter(quiet, as_json)
    if lock is not None and cell is not None and output is not None:
        _run_again(lock, cell, StudyFolder(output.expanduser()), sources, engine, reporter)
        return
    assert name is not None
    asked, kind = load_study(name, overrides or ()), KINDS[str(context.info_name)]
    folder = StudyFolder((output or Path("studies", asked.name)).expanduser())
    report = _report_writer()
    failures: Mapping[str, str] = {}
    if not report_only:
        count = threads or _usual_threads(workers, folder)
        runner = engine(threads=count)
        failures = _run(
            _plan(asked, kind, folder, sources, count, accept_code, reporter), folder, runner, reporter
        )
    written = report(folder.path, kind)
    reporter.info(f"report: {written}")
    reporter.result({"output": folder.path, "report": written, "failed": failures})
    if failures:
        raise typer.Exit(ExitStatus.FAULTS)


def _sources(texts: list[str]) -> dict[str, Path | None]:
    named = dict(map(parse_source, texts))
    return {name: Path(path).expanduser().absolute() if path else None for name, path in named.items()}


def _usual_threads(workers: int | None, folder: "StudyFolder") -> int:
    """Return the threads of a cell that the study was begun with, else a share of half of the processors."""
    from mlffm_segdiff.data.processors import processors
    from mlffm_segdiff.study.study import previous_plan

    before = previous_plan(folder)
    return before.threads if before else max(default_threads(processors()) // (workers or 1), 1)


def _plan(
    asked: "Study",
    kind: Kind,
    folder: "StudyFolder",
    sources: Mapping[str, Path | None],
    threads: int,
    accept_code: bool,
    reporter: Reporter,
) -> "StudyLock":
    from mlffm_segdiff.study.study import changed_packages, plan_study, previous_plan

    changed = changed_packages(previous_plan(folder, asked.name))
    plan = plan_study(asked, kind, folder, sources, threads, accept_code)
    _tell_changed(changed, reporter)
    return plan


def _tell_changed(packages: list[str], reporter: Reporter) -> None:
    if packages:
        reporter.warn(f"since the study was begun, {', '.join(packages)}: scores may differ a little")


def _run(
    plan: "StudyLock", folder: "StudyFolder", launcher: "Launcher", reporter: Reporter
) -> Mapping[str, str]:
    """Run what is not finished; return the errors of cells that failed, which standard error lists too."""
    from mlffm_segdiff.cli.live_table import LiveTable
    from mlffm_segdiff.study.study import open_tally, run_study

    tally = open_tally(plan, folder)
    table = LiveTable(tally, reporter.console())
    try:
        with table.shown():
            failures = run_study(plan, folder, launcher, tally, table.tell)
    except KeyboardInterrupt:
        typer.echo("stopped; the same command goes on", err=True)
        raise
    for key, error in failures.items():
        typer.echo(f"failed: {plan.cell(key)}: {error} (see {folder.cell(key).failed})", err=True)
    return failures


def _run_again(
    lock: Path,
    key: str,
    folder: "StudyFolder",
    sources: Mapping[str, Path | None],
    engine: Callable[..., "Launcher"],
    reporter: Reporter,
) -> None:
    """Run one cell of a study.lock in another folder; say whether its weights are those beside the lock."""
    from mlffm_segdiff.segmenters.pretrained import WEIGHTS
    from mlffm_segdiff.study.folder import StudyFolder
    from mlffm_segdiff.study.lock import read_lock
    from mlffm_segdiff.study.study import changed_packages, plan_one_again

    if folder.path.resolve() == lock.expanduser().resolve().parent:
        raise UserError(f"{folder.path} holds that cell itself; choose another -o")
    original = read_lock(lock.expanduser())
    runner = engine(threads=original.threads)
    plan = plan_one_again(original, key, folder, sources)
    _tell_changed(changed_packages(original), reporter)
    if failures := _run(plan, folder, runner, reporter):
        reporter.result({"run": None, "same": None, "failed": failures})
        raise typer.Exit(ExitStatus.FAULTS)
    (cell,) = plan.cells
    before, now = (
        one.cell(cell.key).run.weights / WEIGHTS for one in (StudyFolder(lock.expanduser().parent), folder)
    )
    same = before.read_bytes() == now.read_bytes() if before.is_file() else None
    reporter.info(f"run folder: {now.parent.parent}")
    reporter.result({"run": now.parent.parent, "same": same, "failed": {}})
    if same is not None:
        reporter.info(
            f"its weights are {'those, byte for byte,' if same else 'not those'} in {before.parent}"
        )
    if same is False:
        raise typer.Exit(ExitStatus.FAULTS)


def _report_writer() -> Callable[[Path, Kind], Path]:
    """Return what makes the report from a study's folder. Raises UserError where it lacks a package."""
    from mlffm_segdiff.config.extra import needs_extra

    with needs_extra("study"):
        from mlffm_segdiff.study.report.write import write_report
    return write_report
