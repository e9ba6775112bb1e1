"""The command's verbs, and how it ends: one line and an exit status, never a traceback for bad input."""

import os
import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

from mlffm_segdiff import __version__
from mlffm_segdiff.cli.benchmark import benchmark
from mlffm_segdiff.cli.common import ExitStatus
from mlffm_segdiff.cli.data import data
from mlffm_segdiff.cli.demo import demo
from mlffm_segdiff.cli.doctor import doctor
from mlffm_segdiff.cli.evaluate import evaluate
from mlffm_segdiff.cli.export import export
from mlffm_segdiff.cli.models import models
from mlffm_segdiff.cli.predict import predict
from mlffm_segdiff.cli.serve import serve
from mlffm_segdiff.cli.study import study
from mlffm_segdiff.cli.train import train
from mlffm_segdiff.config.errors import UserError

COMMAND = "mlffm-segdiff"

app = typer.Typer(name=COMMAND, pretty_exceptions_enable=False, rich_markup_mode=None)
app.command(short_help="Train a recipe into a run folder.")(train)
app.command(short_help="Score a model, or masks of any program.")(evaluate)
app.command(short_help="Make masks of your own images.")(predict)
app.command(short_help="Serve a page and a REST API.")(serve)
app.command(short_help="Segment the sample images of the package.")(demo)
app.command(short_help="Write a model as graphs: ONNX, OpenVINO, torch.export.")(export)
app.command(short_help="Measure speed, side by side with other networks.")(benchmark)
app.command(short_help="List the models with what they weigh and cost.")(models)
app.command(short_help="Say what this machine and installation have.")(doctor)
app.add_typer(study, name="study")
app.add_typer(data, name="data")


def print_version(wanted: bool) -> None:
    """Print the version and end, if it is wanted."""
    if wanted:
        typer.echo(f"{COMMAND} {__version__}")
        raise typer.Exit


@app.callback()
def verbs(
    version: Annotated[
        bool,
        typer.Option("--version", callback=print_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Segment skin lesions with MLFFM-SegDiff, a diffusion model over masks. Not a medical device."""
    del version


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line (default: the process's) and exit with an `ExitStatus`."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    # Both are read when torch loads OpenMP. Threads that spin while they wait collapse on a busy machine; on
    # an idle one, threads that never spin wake too late for the short steps of a network.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if may_spin(arguments):
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    sys.exit(run(arguments))


def may_spin(arguments: Sequence[str]) -> bool:
    """Return whether half of the processors idle, where the system tells, and no long training begins."""
    if arguments[:1] in (["train"], ["study"]) or not hasattr(os, "getloadavg"):
        return False
    return os.getloadavg()[0] <= (os.cpu_count() or 1) / 2


def run(arguments: list[str]) -> int:
    """Run the command line and return its exit status, any fault told in one line on standard error."""
    try:
        status = app(arguments or ["--help"], prog_name=COMMAND, standalone_mode=False) or ExitStatus.DONE
    except UserError as error:
        return _fail(str(error))
    except typer.TyperException as error:
        return _fail(_usage_fault(error))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _fail(f"{where}{error.strerror or error}; check path, rights and free space")
    if status == ExitStatus.INTERRUPTED:
        typer.echo("interrupted", err=True)
    return int(status)


def _fail(message: str) -> int:
    typer.echo(f"error: {' '.join(message.split())}", err=True)
    return ExitStatus.BAD_INPUT


def _usage_fault(error: typer.TyperException) -> str:
    context = getattr(error, "ctx", None)
    command = context.command_path if context else COMMAND
    return f"{error.format_message().rstrip('.')}; see {command} --help"
