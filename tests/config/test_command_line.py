"""The command in reports can be given to a shell again."""

import subprocess
import sys

import pytest

from mlffm_segdiff.config.command_line import command_line


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
def test_a_shell_splits_it_into_the_same_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    given = ["predict", "-i", "my images/*.jpg", "--name=it's", "", "$HOME"]
    monkeypatch.setattr(sys, "argv", ["/some where/printf", *given])
    program, _, arguments = command_line().partition(" ")
    assert program == "printf"
    shown = subprocess.run(
        f"printf '%s\\n' {arguments}", shell=True, check=True, capture_output=True, text=True
    )
    assert shown.stdout.splitlines() == given
