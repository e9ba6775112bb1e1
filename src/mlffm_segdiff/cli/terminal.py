"""Text on the terminal: names of files are data, so none of their characters may control the terminal."""

import sys
import warnings

import typer

from mlffm_segdiff.files.names import printable


def say(message: str, err: bool = False) -> None:
    """Print one line, as `printable`."""
    typer.echo(printable(message), err=err)


def prepare_streams() -> None:
    """Print what the encoding of the terminal lacks as escapes, and warnings of packages as one line each."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    warnings.filterwarnings("ignore", "Glyph .* missing from")  # of a name in the title of a figure
    warnings.showwarning = lambda message, *_, **__: say(f"warning: {message}", err=True)
