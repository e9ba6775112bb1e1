"""`predict` killed or terminated at any moment: nothing wrong stays, and a rerun gives the whole folder."""

import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from folder_content import folder_content

Command = Callable[..., tuple[int, str, str]]

WRITES = 35
"""About as many as the run below makes."""
WHAT = (
    "-w",
    "overlay",
    "-w",
    "contours",
    "-w",
    "coco",
    "-w",
    "review",
    "--threads",
    "1",
    "--batch-size",
    "2",
)
KILLED_AT_A_WRITE = """
import os, sys
from mlffm_segdiff.cli import main
moment, number, sync = int(sys.argv[1]), int(sys.argv[2]), os.fsync

def count(descriptor):
    global moment
    moment -= 1
    if moment == 0:
        os.kill(os.getpid(), number)
    sync(descriptor)

os.fsync = count
main(sys.argv[3:])
"""


@pytest.fixture(scope="module")
def options(trained: Path, lesions: Path) -> tuple[str, ...]:
    """The options of a run over six images."""
    images = sorted((lesions / "images").iterdir())[:6]
    return (
        "predict",
        *(part for path in images for part in ("-i", str(path))),
        "--weights",
        str(trained),
        *WHAT,
    )


@pytest.fixture
def unbroken(options: tuple[str, ...], tmp_path: Path, command: Command) -> dict[str, bytes]:
    """The folder of a run that is not killed."""
    assert command(*options, "-o", tmp_path / "unbroken")[0] == 0
    return folder_content(tmp_path / "unbroken")


def kill_at(
    moment: int, number: int, options: tuple[str, ...], out: Path
) -> "subprocess.CompletedProcess[str]":
    code = [sys.executable, "-c", KILLED_AT_A_WRITE, str(moment), str(number)]
    return subprocess.run([*code, *options, "-o", str(out)], capture_output=True, text=True, check=False)


def check_reruns(out: Path, options: tuple[str, ...], unbroken: dict[str, bytes], command: Command) -> None:
    for name, data in folder_content(out).items():  # each file is whole, and none is of another run
        assert ".part-" in name or name == ".predict.jsonl" or data == unbroken[name]
    shutil.copytree(out, out.with_name("again"))
    for folder, more in ((out, ["--skip-existing"]), (out.with_name("again"), [])):
        assert command(*options, "-o", folder, *more)[0] == 0
        assert folder_content(folder) == unbroken
        shutil.rmtree(folder)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_killed_run_is_completed_to_the_unbroken_one(
    options: tuple[str, ...], unbroken: dict[str, bytes], tmp_path: Path, command: Command, seed: int
) -> None:
    moment = random.Random(seed).randrange(2, WRITES - 8)
    done = kill_at(moment, signal.SIGKILL, options, tmp_path / "out")
    assert done.returncode == -signal.SIGKILL
    check_reruns(tmp_path / "out", options, unbroken, command)


def test_sigterm_ends_with_143_one_line_and_no_leftovers(
    options: tuple[str, ...], unbroken: dict[str, bytes], tmp_path: Path, command: Command
) -> None:
    done = kill_at(9, signal.SIGTERM, options, tmp_path / "out")
    assert (done.returncode, done.stdout, done.stderr) == (143, "", "terminated\n")
    assert not any(".part-" in name for name in folder_content(tmp_path / "out"))
    assert "predictions.csv" not in folder_content(tmp_path / "out")
    check_reruns(tmp_path / "out", options, unbroken, command)


@pytest.mark.slow
def test_thirty_kills(
    options: tuple[str, ...], unbroken: dict[str, bytes], tmp_path: Path, command: Command
) -> None:
    hit = 0
    for moment in random.Random(0).sample(range(1, WRITES), 30):
        number = random.Random(moment).choice([signal.SIGKILL, signal.SIGTERM])
        done = kill_at(moment, number, options, tmp_path / "out")
        hit += done.returncode in (-signal.SIGKILL, 143)
        check_reruns(tmp_path / "out", options, unbroken, command)
    assert hit > 20
