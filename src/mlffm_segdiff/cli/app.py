"""The command ``mlffm-segdiff``: its verbs, and its exit with one line and a status for invalid input."""

import logging
import os
import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn, cast

import typer

from mlffm_segdiff import __version__
from mlffm_segdiff.cli.benchmark import benchmark
from mlffm_segdiff.cli.common import ExitStatus
from mlffm_segdiff.cli.compare import compare
from mlffm_segdiff.cli.data import data
from mlffm_segdiff.cli.demo import demo
from mlffm_segdiff.cli.doctor import doctor
from mlffm_segdiff.cli.environment import Verbs, variable_used
from mlffm_segdiff.cli.evaluate import evaluate
from mlffm_segdiff.cli.export import export
from mlffm_segdiff.cli.hints import VERBS, meant_parameter
from mlffm_segdiff.cli.measure_change import measure_change
from mlffm_segdiff.cli.models import models
from mlffm_segdiff.cli.plan_job import plan_job
from mlffm_segdiff.cli.predict import predict
from mlffm_segdiff.cli.serve import serve
from mlffm_segdiff.cli.study import study
from mlffm_segdiff.cli.terminal import prepare_streams, say
from mlffm_segdiff.cli.termination import interrupt_on_sigterm, was_terminated
from mlffm_segdiff.cli.train import train
from mlffm_segdiff.config.errors import StoppedError, UserError, reason_of
from mlffm_segdiff.config.extra import extra_of, missing
from mlffm_segdiff.data.decoder_warnings import ignore_decoder_warnings

COMMAND = "mlffm-segdiff"
UsageError = cast("type[typer.BadParameter]", typer.BadParameter.__base__)
"""The base class of all of typer's errors of usage, which has a public name only since typer 0.29."""

app = Verbs(name=COMMAND, pretty_exceptions_enable=False, rich_markup_mode=None)
app.command(short_help="Train a recipe into a run folder.")(train)
app.command(short_help="Score a model, or masks of any program.")(evaluate)
app.command(short_help="Compare masks of several methods.")(compare)
app.command(short_help="Segment your own images.")(predict)
app.command("plan", short_help="Estimate the time and cost of segmenting very many images.")(plan_job)
app.command("measure-change", short_help="Compare a lesion's area in two images.")(measure_change)
app.command(short_help="Serve a web page and a REST API.")(serve)
app.command(short_help="Segment the sample images of the package.")(demo)
app.command(short_help="Export to ONNX, OpenVINO, torch.export or MONAI.")(export)
app.command(short_help="Measure speed, compared with other networks.")(benchmark)
app.command(short_help="List models with their parameters and cost.")(models)
app.command(short_help="Check this machine and installation.")(doctor)
app.add_typer(study, name="study", short_help="Train, score and compare variants.")
app.add_typer(data, name="data", short_help="Check, split, convert or make data sets.")


def print_version(wanted: bool) -> None:
    """Print the version and exit, if --version was given."""
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
    """Run the command line, by default that of the process, and exit with an `ExitStatus`."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    # Both are read when torch loads OpenMP. Threads that spin while they wait are slow on a busy machine; on
    # an idle one, threads that never spin wake too late for the short steps of a network.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if may_spin(arguments):
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it warns that its own cache is read-only
    ignore_decoder_warnings()
    prepare_streams()
    interrupt_on_sigterm()
    sys.exit(run(arguments))


def may_spin(arguments: Sequence[str]) -> bool:
    """Return whether waiting threads may spin: half of the CPUs are idle, and no training starts."""
    if arguments[:1] in (["train"], ["study"]) or not hasattr(os, "getloadavg"):
        return False
    return os.getloadavg()[0] <= (os.cpu_count() or 1) / 2


def run(arguments: list[str]) -> int:
    """Run the command line and return its exit status; invalid input is one line on standard error."""
    try:
        status = app(arguments or ["--help"], prog_name=COMMAND, standalone_mode=False) or ExitStatus.DONE
    except StoppedError as error:
        return _fail(str(error), ExitStatus.FAULTS)
    except UserError as error:
        return _fail(str(error))
    except UsageError as error:
        return _fail(_usage_error(error, arguments))
    except ModuleNotFoundError as error:
        extra = extra_of(error.name or "")
        if extra is None:
            raise
        return _fail(str(missing(error, extra)))
    except RuntimeError as error:
        if type(error).__name__ != "OutOfMemoryError":  # torch's, which is not imported for its name
            raise
        return _fail(f"{reason_of(error)}; use smaller batches or images, or --device cpu", ExitStatus.FAULTS)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _fail(f"{where}{error.strerror or error}; check path, permissions and free space")
    if status == ExitStatus.INTERRUPTED:
        if was_terminated():
            status = ExitStatus.TERMINATED
        say(ExitStatus(status).name.lower(), err=True)
    return int(status)


def _fail(message: str, status: ExitStatus = ExitStatus.BAD_INPUT) -> int:
    say(f"error: {' '.join(message.split())}", err=True)
    return status


def _usage_error(error: typer.BadParameter, arguments: Sequence[str]) -> str:
    context = getattr(error, "ctx", None)
    verb = next((one for one in arguments[:1] if one.isidentifier()), "")
    command = context.command_path if context else f"{COMMAND} {verb}".rstrip()
    message = error.format_message().replace("Value error, ", "").rstrip(".")
    if message == f"No such command {verb!r}" and verb in VERBS:
        return f"no such command {verb}; did you mean {VERBS[verb]}? see {COMMAND} --help"
    option = getattr(error, "option_name", None)
    if context and option and (meant := meant_parameter(option, context)):
        return f"no such option {option}; did you mean {meant}? see {command} --help"
    parameter = getattr(error, "param", None)
    variable = parameter and context and variable_used(context, parameter)
    origin = f" (in the environment: {variable})" if variable else ""
    return f"{message}{origin}; see {command} --help"
