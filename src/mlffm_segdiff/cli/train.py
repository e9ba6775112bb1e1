"""``mlffm-segdiff train``."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlffm_segdiff.cli.common import (
    JsonOption,
    QuietOption,
    Reporter,
    SourceOption,
    SplitOption,
    ThreadsOption,
    choose_data,
    set_threads,
)
from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.packaged import recipe_names

if TYPE_CHECKING:
    from mlffm_segdiff.config.schema import Recipe
    from mlffm_segdiff.training.run_folder import RunFolder


def train(
    recipe: Annotated[
        str | None,
        typer.Argument(
            metavar="RECIPE",
            show_default=False,
            help=f"A YAML file, or one of the package: {', '.join(recipe_names())}.",
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
        bool, typer.Option("--resume", help="Go on with the run in --run, exactly as if it had not stopped.")
    ] = False,
    source: SourceOption = None,
    split: SplitOption = None,
    threads: ThreadsOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train a recipe into a run folder.

    Example: mlffm-segdiff train isic2018 --source isic2018=/data/isic2018
    """
    from mlffm_segdiff.segmenters.recipe import load_recipe

    if resume and run is None:
        raise UserError("--resume needs --run FOLDER, the run to go on with")
    if recipe is None and not resume:
        raise UserError(
            "no recipe: give one, for example mlffm-segdiff train synthetic, or --resume with --run"
        )
    if recipe is None and (overrides or source or split):
        raise UserError("a resumed run keeps its recipe: leave out all but --run, --resume and --threads")
    chosen = None
    if recipe is not None:
        chosen = choose_data(load_recipe(recipe, overrides or ()), source or (), split)
    set_threads(threads)
    _train(chosen, run, resume, Reporter(quiet, as_json))


def _train(recipe: "Recipe | None", path: Path | None, resume: bool, reporter: Reporter) -> None:
    from mlffm_segdiff.training import fit
    from mlffm_segdiff.training.run_folder import RunFolder, best_jaccard

    if path is None:
        assert recipe is not None
        path = Path("runs", f"{recipe.name}-{datetime.now():%Y%m%d-%H%M%S}")
    folder = RunFolder(path.expanduser())
    try:
        if resume:
            _require_same(recipe, folder)
            fit.resume(folder, reporter.console(markup=True))
        else:
            assert recipe is not None
            fit.train(recipe, folder, reporter.console(markup=True))
    except (KeyboardInterrupt, SystemExit):  # Lightning ends by SystemExit on Ctrl-C
        if folder.config.is_file():
            typer.echo(f"stopped; go on by: mlffm-segdiff train --resume --run {folder.path}", err=True)
        raise KeyboardInterrupt from None
    best = best_jaccard(folder)
    reporter.info(f"best validation Jaccard {best:.4f}\nrun folder: {folder.path}")
    reporter.result({"run": folder.path, "best_validation_jaccard": best})


def _require_same(recipe: "Recipe | None", folder: "RunFolder") -> None:
    """Raise UserError if a recipe is given and it is not the one of the run."""
    begun = folder.recipe()
    if recipe is None or recipe == begun:
        return
    here, there = (dict(_leaves(one.model_dump(mode="json"))) for one in (recipe, begun))
    key = next(key for key in {**here, **there} if here.get(key) != there.get(key))
    change = f"{key}={there.get(key)}, not {here.get(key)}"
    raise UserError(f"{folder.path} was begun with {change}; leave the recipe out to go on as it was begun")


def _leaves(values: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
