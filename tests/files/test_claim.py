"""One command at a time in a folder."""

import os
import platform
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.files.claim import LOCK, claimed, claimed_results

Claim = Callable[[Path], AbstractContextManager[None]]
BOTH = pytest.mark.parametrize("claim", [claimed, claimed_results])


@BOTH
def test_a_folder_is_claimed_by_one_at_a_time(claim: Claim, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "out"
    message = r"another command.* is using .*out; wait for it, stop it, or choose another folder"
    with claim(folder):
        assert folder.is_dir()
        with pytest.raises(UserError, match=message), claim(folder):
            pass
    with claim(folder):
        pass


def test_no_file_is_left_among_results(tmp_path: Path) -> None:
    with claimed_results(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


@BOTH
def test_a_file_in_place_of_the_folder_is_named(claim: Claim, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    for folder in (tmp_path / "out", tmp_path / "out" / "deep"):
        message = r"cannot be written: .*out is a file, not a folder; choose another folder"
        with pytest.raises(UserError, match=message), claim(folder):
            pass


def test_a_claim_ends_with_its_process(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom mlffm_segdiff.files.claim import claimed\n"
        "with claimed(Path(sys.argv[1])):\n    print('claimed', flush=True)\n    sys.stdin.read()\n"
    )
    folder = tmp_path / "run"
    with subprocess.Popen(
        [sys.executable, "-c", script, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "claimed\n"
        with pytest.raises(
            UserError, match=rf"another command \(process {process.pid} on \S+\) is using .*run; wait"
        ):
            claimed(folder).__enter__()
        process.kill()
    with claimed(folder):
        assert (folder / LOCK).read_text() == f"process {os.getpid()} on {platform.node()}"
