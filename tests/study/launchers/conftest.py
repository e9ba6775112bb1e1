"""A function that records its calls, and the processes that launchers leave."""

import os
import sys
import uuid
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

import pytest

from mlffm_segdiff.study.launchers.base import Launcher, Outcome, Work

SOURCE = Path(__file__).parents[3] / "src"
PROCESSES = Path("/proc")
WORK = '''
import hashlib, os, signal, sys, time

def say(study, *words):
    with (study / "runs.txt").open("a") as file:
        file.write(" ".join(map(str, words)) + "\\n")

def work(study, key):
    """Score a key by its hash. Its name says what else happens."""
    say(study, "begin", key, os.getpid(), os.getppid())
    environment = [repr(os.environ.get(name)) for name in ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")]
    say(study, "sees", key, *environment, os.getcwd())
    print("the work speaks")
    if "waits" in key:
        while not (study / "go").exists():
            time.sleep(0.05)
    if "fails" in key:
        raise ValueError("no such lesion\\nsecond line")
    if "killed" in key:
        os.kill(os.getpid(), signal.SIGKILL)
    if "exits" in key:
        sys.exit(3)
    (study / f"{key}.score").write_text(hashlib.sha256(key.encode()).hexdigest())
    say(study, "end", key)
'''


class Diary:
    """What the work wrote into a study's folder."""

    def __init__(self, study: Path) -> None:
        self.study = study

    def lines(self, word: str) -> list[list[str]]:
        path = self.study / "runs.txt"
        found = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
        return [words[1:] for words in found if words[0] == word]

    def times(self, word: str) -> dict[str, int]:
        """How often each key did this."""
        keys = [key for key, *_ in self.lines(word)]
        return {key: keys.count(key) for key in keys}

    def scores(self) -> dict[str, str]:
        return {path.stem: path.read_text() for path in self.study.glob("*.score")}


@pytest.fixture
def diary(tmp_path: Path) -> Diary:
    (tmp_path / "study").mkdir()
    return Diary(tmp_path / "study")


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Work]:
    """A function in a module that other processes find only by PYTHONPATH."""
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "toy_work.py").write_text(WORK)
    monkeypatch.setenv("PYTHONPATH", f"{folder}{os.pathsep}{SOURCE}")
    monkeypatch.syspath_prepend(str(folder))
    yield import_module("toy_work").work
    sys.modules.pop("toy_work")


@pytest.fixture
def run(diary: Diary, toy: Work) -> Callable[..., dict[str, str | None]]:
    """Launch the toy's keys: errors by key in the order of their ends."""

    def launch(launcher: Launcher, *keys: str) -> dict[str, str | None]:
        outcomes: list[Outcome] = list(launcher.launch(toy, diary.study, keys))
        assert len(outcomes) == len({outcome.key for outcome in outcomes})
        return {outcome.key: outcome.error for outcome in outcomes}

    return launch


@pytest.fixture(scope="session")
def processes_with() -> Callable[[str], list[str]]:
    """The command lines of running processes that have these letters in their environment from the start."""
    if not PROCESSES.is_dir():
        pytest.skip("this system has no /proc")
    return lambda mark: [line for path in PROCESSES.iterdir() if (line := _marked(path, mark.encode()))]


@pytest.fixture
def running(
    monkeypatch: pytest.MonkeyPatch, processes_with: Callable[[str], list[str]]
) -> Callable[[], list[str]]:
    """The command lines of the processes that this test began and that still run."""
    mark = uuid.uuid4().hex
    monkeypatch.setenv("LAUNCHERS_TEST", mark)
    return lambda: processes_with(mark)


def _marked(process: Path, mark: bytes) -> str:
    try:
        if not process.name.isdecimal() or mark not in (process / "environ").read_bytes():
            return ""
        line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""
    return "" if "resource_tracker" in line else line  # Python's own, one for all of this process's children
