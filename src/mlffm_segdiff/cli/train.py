"""``mlffm-segdiff train``: train a recipe into a run folder."""

import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlffm_segdiff.cli.common import (
    DeviceOption,
    ExitStatus,
    JsonOption,
    QuietOption,
    Reporter,
    SourceOption,
    SplitOption,
    ThreadsOption,
    choose_data,
    refuse_given,
    set_threads,
)
from mlffm_segdiff.cli.terminal import say
from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.packaged import recipe_names
from mlffm_segdiff.config.paths import expanded
from mlffm_segdiff.segmenters.device import AUTO

if TYPE_CHECKING:
    from mlffm_segdiff.config.schema import Recipe


def train(
    context: typer.Context,
    recipe: Annotated[
        str | None,
        typer.Argument(
            metavar="RECIPE",
            show_default=False,
            help=f"A YAML file, or a packaged recipe: {', '.join(recipe_names())}.",
            autocompletion=recipe_names,
        ),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Recipe keys to change, such as train.images=20000."),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option("--run", metavar="FOLDER", help="The run's folder [default: runs/NAME-DATE-TIME]."),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Resume the run in --run; with the same --threads, as if it had not stopped."
        ),
    ] = False,
    plan: Annotated[
        bool,
        typer.Option(
            "--plan", help="Train nothing: measure 20 steps, and say how long the run will take here."
        ),
    ] = False,
    source: SourceOption = None,
    split: SplitOption = None,
    device: DeviceOption = AUTO,
    threads: ThreadsOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train a recipe into a run folder.

    With --plan, data sets without a folder are replaced by synthetic images.

    Example: mlffm-segdiff train isic2018 --source isic2018=/data/isic2018
    """
    if resume and run is None:
        raise UserError("--resume needs --run FOLDER, the run to resume")
    if resume and recipe and "=" in recipe:
        overrides = [recipe, *(overrides or ())]
        recipe = None
    if recipe is None and not resume:
        raise UserError(
            "no recipe: give one, for example mlffm-segdiff train synthetic, or --resume with --run"
        )
    if recipe is None and (source or split):
        raise UserError(
            "a resumed run keeps its recipe: leave out all but --run, --resume, --device, --threads and "
            "train.devices=N"
        )
    if plan and resume:
        raise UserError("--plan is for a new run; leave out --resume")
    if plan:
        refuse_given(context, "--plan trains nothing", "run")
    chosen = None
    if recipe is not None:
        from mlffm_segdiff.segmenters.recipe import load_recipe

        chosen = choose_data(load_recipe(recipe, overrides or ()), source or (), split)
        run = run or Path("runs", f"{chosen.name}-{datetime.now():%Y%m%d-%H%M%S}")
    from mlffm_segdiff.training.module import DivergedError
    from mlffm_segdiff.training.replicas import LostProcessError, is_first_process

    set_threads(threads)
    first = (chosen is not None and chosen.train.processes == 1) or is_first_process()
    reporter = Reporter(quiet or not first, as_json and first)
    if plan and chosen is not None:
        _plan(chosen, device, reporter)
        return
    assert run is not None
    if chosen is not None:
        devices = chosen.train
        overrides = [f"train.devices={devices.devices}", f"train.nodes={devices.nodes}"]
    try:
        _train(chosen, run, (overrides or ()) if resume else None, device, reporter)
    except (KeyboardInterrupt, LostProcessError, DivergedError):
        if first:
            raise
        sys.exit(ExitStatus.FAULTS)  # the first process reports it


def _plan(recipe: "Recipe", device: str, reporter: Reporter) -> None:
    from mlffm_segdiff.training import estimate_time

    with reporter.status("measuring"):
        found = estimate_time(recipe, device)
    reporter.info(str(found))
    values = {"seconds": found.seconds, "validation_seconds": found.validation_seconds, **vars(found)}
    reporter.result(values)


def _train(
    recipe: "Recipe | None", run: Path, resumed_with: Sequence[str] | None, device: str, reporter: Reporter
) -> None:
    """Train a new run, or resume one with overrides."""
    from mlffm_segdiff import training

    progress = [training.ConsoleProgress(reporter.console(markup=True))]
    folder = training.RunFolder(expanded(run))
    try:
        if resumed_with is not None:
            if recipe is not None:
                folder.require_recipe(recipe)
            result = training.resume(folder.path, progress, device, resumed_with)
        else:
            assert recipe is not None
            result = training.train(recipe, folder.path, callbacks=progress, device=device)
    except KeyboardInterrupt:
        if folder.config.is_file() and training.is_first_process():
            say(f"stopped; resume with: mlffm-segdiff train --resume --run {folder.path}", err=True)
        raise
    reporter.info(f"best validation Jaccard {result.best_jaccard:.4f}")
    reporter.info(f"run folder: {result.run}")
    reporter.result({"run": result.run, "best_validation_jaccard": result.best_jaccard})
