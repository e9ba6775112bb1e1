"""The command that this process was started by, for reports."""

import shlex
import sys
from pathlib import Path


def command_line() -> str:
    """Return the program's name and its arguments, quoted for a POSIX shell."""
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
