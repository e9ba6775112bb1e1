"""What the verbs share: exit statuses, how they speak, options, threads, and the data chosen on the line."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlffm_segdiff.config.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status

    from mlffm_segdiff.config.schema import Recipe


class ExitStatus(IntEnum):
    """How the command ends; docs/COMMANDS.md tells users."""

    DONE = 0
    FAULTS = 1
    """Done but for faults, which standard error names; also where the reader of a pipe goes away (Typer)."""
    BAD_INPUT = 2
    """Nothing done: a wrong option or input, told in one line."""
    INTERRUPTED = 130
    """By Ctrl-C."""


ThreadsOption = Annotated[
    int | None,
    typer.Option("--threads", min=1, metavar="N", help="Processor threads [default: half of them]."),
]
SourceOption = Annotated[
    list[str] | None,
    typer.Option(
        "--source",
        metavar="NAME=PATH",
        help="Take this data set in place of the recipe's; NAME alone keeps the recipe's path. Repeatable.",
    ),
]
QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", help="Say nothing but what is wrong; show no progress.")
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print the result as JSON; words go to standard error.")
]
SplitOption = Annotated[
    Path | None,
    typer.Option("--split", metavar="FILE", help="Your own split: CSV with columns id,part."),
]


@dataclass(frozen=True)
class Voice:
    """How a verb speaks. What is wrong goes to standard error, whatever is asked for.

    Words: to standard output; with --json to standard error, so that standard output is one JSON document;
    with --quiet nowhere. Notes and progress: to standard error; with --quiet nowhere.
    """

    quiet: bool = False
    json: bool = False

    def say(self, words: str) -> None:
        """Say what was done."""
        if not self.quiet:
            typer.echo(words, err=self.json)

    def note(self, words: str) -> None:
        """Say what is worth knowing and no fault."""
        if not self.quiet:
            typer.echo(words, err=True)

    def console(self, markup: bool = False) -> "Console":
        """Return where tables and other words go. markup: whether rich reads its own marks and colours."""
        from rich.console import Console

        return Console(stderr=self.json, quiet=self.quiet, markup=markup, highlight=markup)

    def result(self, values: Mapping[str, object]) -> None:
        """Print the result for programs, where they asked for it. values: plain ones and paths."""
        if self.json:
            typer.echo(json.dumps(values, indent=2, allow_nan=False, default=str))

    def status(self, label: str) -> "Status":
        """Return a block's label, shown on a terminal until the block ends."""
        from rich.console import Console

        return Console(stderr=True, quiet=self.quiet).status(label)

    @contextmanager
    def progress(self, label: str) -> Iterator[Callable[[int, int], None]]:
        """Show a bar until the block ends; give the function that moves it to (done, total)."""
        from rich.console import Console
        from rich.progress import Progress

        console = Console(stderr=True)
        hidden = self.quiet or not console.is_terminal
        with Progress(console=console, transient=True, disable=hidden) as progress:
            task = progress.add_task(label, total=None)
            yield lambda done, total: progress.update(task, completed=done, total=total)


def set_threads(count: int | None) -> None:
    """Let torch use ``count`` threads; None: half of the processors, at least 2, at most all."""
    import torch

    from mlffm_segdiff.data.processors import default_threads, processors

    torch.set_num_threads(count or default_threads(processors()))


def choose_data(recipe: "Recipe", sources: Sequence[str], split: Path | None) -> "Recipe":
    """Return the recipe with ``--source`` (NAME=PATH, or NAME with its own path) and ``--split`` applied.

    Other sources than the recipe's come without its own split list and mix. Paths become absolute.

    Raises UserError for a source that is no data set.
    """
    from mlffm_segdiff.segmenters.recipe import check_recipe

    values = recipe.model_dump(mode="json")
    data = values["data"]
    if sources:
        data.update(
            sources=dict(parse_source(text, data["sources"]) for text in sources), split=None, mix=None
        )
    if split is not None:
        data["split"] = str(split)
    data["sources"] = {name: path and _absolute(path) for name, path in data["sources"].items()}
    data["split"] = data["split"] and _absolute(data["split"])
    return check_recipe(values, "--source")


def _absolute(path: str) -> str:
    """Return a path that holds from another directory too: runs are resumed and evaluated later."""
    return str(Path(path).expanduser().absolute())


def parse_source(text: str, known: Mapping[str, str | None]) -> tuple[str, str | None]:
    """Return name and path of NAME=PATH; of NAME alone, the known path. Raises UserError."""
    name, equals, path = text.partition("=")
    if not name or (equals and not path):
        raise UserError(f"--source {text!r} is not NAME=PATH, for example --source isic2018=/data/isic2018")
    return name, path or known.get(name)
