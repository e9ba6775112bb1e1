"""Exit statuses, shared options, the reporter, threads, and data chosen on the command line."""

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlffm_segdiff.cli.terminal import say
from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.section import MAX_THREADS
from mlffm_segdiff.segmenters.device import device_name

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status

    from mlffm_segdiff.config.schema import Recipe


class ExitStatus(IntEnum):
    """Exit statuses of the command, as documented in docs/COMMANDS.md."""

    DONE = 0
    FAULTS = 1
    """Done, or stopped half-way, with faults on standard error; also Typer's status when a pipe is closed."""
    BAD_INPUT = 2
    """Nothing done: a wrong option or input, explained in one line."""
    INTERRUPTED = 130
    """Stopped by Ctrl-C."""
    TERMINATED = 143
    """Stopped by SIGTERM."""


ThreadsOption = Annotated[
    int | None,
    typer.Option(
        "--threads", min=1, max=MAX_THREADS, metavar="N", help="CPU threads [default: half of the CPUs]."
    ),
]


def _device(name: str) -> str:
    try:
        return device_name(name)
    except UserError as error:
        raise typer.BadParameter(str(error)) from None


DeviceOption = Annotated[
    str,
    typer.Option(
        metavar="auto|cpu|cuda[:N]|mps|xpu",
        callback=_device,
        help="Where the network runs; auto: a CUDA GPU if there is one, otherwise the CPU.",
    ),
]
SourceOption = Annotated[
    list[str] | None,
    typer.Option(
        "--source",
        metavar="NAME=PATH",
        help="Use this data set instead of the recipe's; NAME without a path keeps the recipe's path. "
        "Repeatable.",
    ),
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print only errors; show no progress.")]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print the result as JSON; messages go to standard error.")
]
PropertiesOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="CSV file with the column id and properties of the images, such as age or site: also report "
        "scores by each property: numbers in thirds, texts as groups.",
    ),
]
LevelOption = Annotated[
    float | None,
    typer.Option(
        "--level",
        metavar="80|90|95",
        help="Level of intervals and contours in percent, or as 0.9 [default: 90, or the highest that the "
        "weights are calibrated for].",
    ),
]
SplitOption = Annotated[
    Path | None,
    typer.Option("--split", metavar="FILE", help="Your own split: CSV with columns id,part."),
]


def refuse_given(context: typer.Context, reason: str, *names: str) -> None:
    """Raise UserError if one of these parameters, which would have no effect, is on the command line."""
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if parameter.name in names and source is not None and source.name == "COMMANDLINE":
            raise UserError(f"{reason}; leave out {max(parameter.opts, key=len)}")


class _EchoHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        say(record.getMessage(), err=True)


@dataclass(frozen=True)
class Reporter:
    """Prints messages, progress and results of a command.

    Attributes:
        quiet: Suppress messages, warnings and progress. Errors are printed by ``cli.app`` in any case.
        json: Print the result as one JSON document on standard output, and messages on standard error.
    """

    quiet: bool = False
    json: bool = False

    def __post_init__(self) -> None:
        """Print the package's log to standard error, too."""
        log = logging.getLogger("mlffm_segdiff")
        log.handlers = [_EchoHandler()]
        log.setLevel(logging.ERROR if self.quiet else logging.WARNING)

    def info(self, message: str) -> None:
        """Print what was done."""
        if not self.quiet:
            say(message, err=self.json)

    def warn(self, message: str) -> None:
        """Print a warning to standard error."""
        if not self.quiet:
            say(message, err=True)

    def console(self, markup: bool = False) -> "Console":
        """Return the rich console for tables and messages; ``markup`` enables rich's markup and colours."""
        from mlffm_segdiff.cli.plain_console import PlainConsole

        return PlainConsole(stderr=self.json, quiet=self.quiet, markup=markup, highlight=markup, emoji=False)

    def table(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print a table of text with its first column aligned left and the others right."""
        from rich.table import Table

        table = Table(header[0])
        for column in header[1:]:
            table.add_column(column, justify="right")
        for row in rows:
            table.add_row(*row)
        self.console().print(table)

    def result(self, values: Mapping[str, object]) -> None:
        """Print the result as JSON if --json was given; paths become strings."""
        if self.json:
            typer.echo(json.dumps(values, indent=2, allow_nan=False, default=str))

    def status(self, label: str) -> "Status":
        """Return a context manager that shows a label on a terminal until its block ends."""
        from rich.console import Console

        return Console(stderr=True, quiet=self.quiet).status(label)

    @contextmanager
    def progress(self, label: str) -> Iterator[Callable[[int, int], None]]:
        """Show a progress bar until the block ends; yields the function that moves it to (done, total)."""
        from rich.console import Console

        console = Console(stderr=True)
        if self.quiet or not console.is_terminal:
            yield lambda *_: None
            return
        from rich.progress import Progress

        with Progress(console=console, transient=True) as progress:
            task = progress.add_task(label, total=None)
            yield lambda done, total: progress.update(task, completed=done, total=total)


def set_threads(count: int | None) -> None:
    """Set torch's number of threads; None selects that of `chosen_threads`."""
    import torch

    torch.set_num_threads(chosen_threads(count))


def chosen_threads(count: int | None) -> int:
    """Return the number of CPU threads; None selects ``default_threads`` of the available CPUs."""
    from mlffm_segdiff.machine.processors import default_threads, processors

    return count or default_threads(processors())


def choose_data(recipe: "Recipe", sources: Sequence[str], split: Path | None) -> "Recipe":
    """Return the recipe with ``--source`` (NAME=PATH, or NAME with its own path) and ``--split`` applied."""
    from mlffm_segdiff.segmenters.recipe import with_data

    return with_data(recipe, dict(map(parse_source, sources)), split)


def parse_source(text: str) -> tuple[str, str | None]:
    """Return name and path of NAME=PATH; of NAME only, None as the path. Raises UserError."""
    if text and "=" not in text:
        return text, None
    return named_path("--source", text, "--source isic2018=/data/isic2018")


def named_path(option: str, text: str, example: str) -> tuple[str, str]:
    """Return name and path of NAME=PATH, the value of an option. Raises UserError with the example."""
    name, _, path = text.partition("=")
    if not (name and path):
        raise UserError(f"{option} {text!r} is not NAME=PATH, for example {example}")
    return name, path
