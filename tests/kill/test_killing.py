"""The comparison of killed and unbroken runs notices what a kill spoils."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from kill.child import BROKEN, run_in_child
from kill.killing import Killing

pytestmark = [pytest.mark.kill, pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")]

NAMES = tuple(f"{number}.txt" for number in range(20))


def write_all(place: Path) -> None:
    """Write each file at once: a kill leaves whole files, and a repetition completes them."""
    place.mkdir(exist_ok=True)
    for name in NAMES:
        time.sleep(0.005)
        (place / name).write_text(name)


def append_all(place: Path) -> None:
    """Append to one file: after a repetition, some lines are there twice."""
    place.mkdir(exist_ok=True)
    for name in NAMES:
        time.sleep(0.005)
        with (place / "all.txt").open("a") as file:
            file.write(name)


def leave_parts(place: Path) -> None:
    """Write by a temporary name that differs in each run."""
    place.mkdir(exist_ok=True)
    for name in NAMES:
        time.sleep(0.005)
        part = place / f".part-{os.getpid()}"
        part.write_text(name)
        part.rename(place / name)


def refuse_to_repeat(place: Path) -> None:
    """Take only a new folder."""
    place.mkdir()
    for name in NAMES:
        time.sleep(0.005)
        (place / name).write_text(name)


def killing(work: Callable[[Path], None], folder: Path) -> Killing:
    return Killing(folder / work.__name__, lambda place: lambda: work(place))


def test_files_that_are_written_whole_pass(tmp_path: Path) -> None:
    rows: list[str] = []
    killing(write_all, tmp_path).check(8, rows)
    assert rows == ["write_all kills   8  faults   0"]


@pytest.mark.parametrize(
    ("work", "message"),
    [(append_all, "changed"), (leave_parts, "left"), (refuse_to_repeat, "cannot be repeated")],
)
def test_each_fault_is_named(work: Callable[[Path], None], message: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=message):
        killing(work, tmp_path).check(8, [])


def test_results_of_chance_are_no_basis(tmp_path: Path) -> None:
    def write_its_name(place: Path) -> None:
        place.mkdir()
        (place / "name.txt").write_text(str(place))

    with pytest.raises(AssertionError, match="two unbroken runs differ"):
        killing(write_its_name, tmp_path)


def test_the_exit_status_is_that_of_the_work(tmp_path: Path) -> None:
    def leave() -> None:
        raise SystemExit(2)

    log = tmp_path / "log.txt"
    assert run_in_child(leave, log).status == 2
    assert run_in_child(lambda: print("done"), log).status == 0
    assert run_in_child(lambda: 1 / 0, log).status == BROKEN
    assert "done" in log.read_text()
    assert "ZeroDivisionError" in log.read_text()
