"""Text on the terminal: names of files are data, so none of their characters may control the terminal."""

import re
import sys
import warnings

import typer

_CONTROL = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"  # C0, C1, bidi, bytes
)


def printable(text: str) -> str:
    r"""Return one line of text with an escape such as \x1b for each character that controls a terminal."""
    return _CONTROL.sub(lambda found: found.group().encode("unicode_escape").decode(), text)


def say(message: str, err: bool = False) -> None:
    """Print one line, as `printable`."""
    typer.echo(printable(message), err=err)


def prepare_streams() -> None:
    """Print what the encoding of the terminal lacks as escapes, and warnings of packages as one line each."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    warnings.showwarning = lambda message, *_: say(f"warning: {message}", err=True)
