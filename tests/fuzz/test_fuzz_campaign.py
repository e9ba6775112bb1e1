"""The campaign notices each kind of fault, and makes the same inputs again."""

import os
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest
from fuzz import watch
from fuzz.campaign import Reader, fuzz, make_input

from mlffm_segdiff.config.errors import UserError


class Doing(Reader):
    """Does one thing with each input."""

    name = "doing"
    seeds: ClassVar = {"a.bin": bytes(range(64)), "b.bin": b"b" * 64}

    def __init__(self, folder: Path, work: Callable[[Path, Path], object]) -> None:
        super().__init__(folder)
        self.work = work

    def read(self, path: Path) -> bool:
        """Do it."""
        return bool(self.work(path, self.outputs))


def refuse(path: Path, outputs: Path) -> None:
    raise UserError(f"{path} is damaged; restore it")


def leave_a_part(path: Path, outputs: Path) -> None:
    (outputs / ".part-x").mkdir()


def fill_memory(path: Path, outputs: Path) -> int:
    return len(bytearray(b"x" * 200 * 2**20))


def connect(path: Path, outputs: Path) -> None:
    with socket.socket() as end:
        end.connect_ex(("127.0.0.1", 9))


WORKS: dict[str, Callable[[Path, Path], object]] = {
    "ValueError": lambda path, outputs: int("x"),
    "TooSlowError": lambda path, outputs: time.sleep(9),
    "starts a program": lambda path, outputs: subprocess.run(["true"], check=True),
    "connects": connect,
    "writes outside": lambda path, outputs: (path.parent / "new").write_text("x"),
    "writes outside ": lambda path, outputs: path.rename(outputs / "moved"),
    "writes outside  ": lambda path, outputs: path.unlink(),
    "leaves .part-": leave_a_part,
    "memory grew": fill_memory,
}


@pytest.mark.timeout(120, method="thread")
@pytest.mark.parametrize("what", WORKS)
def test_a_campaign_notices_each_kind_of_fault(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "SECONDS", 0.5)
    monkeypatch.setattr(watch, "MEGABYTES", 100)
    summary = fuzz(Doing(tmp_path, WORKS[what]), 0, 0, 1, tmp_path / "faults")
    assert [found for found in summary.faults if found.startswith(what.strip())]
    assert summary.counts == {"fault": 1}


def test_refusing_accepting_and_writing_to_the_outputs_are_no_faults(tmp_path: Path) -> None:
    refused = fuzz(Doing(tmp_path, refuse), 0, 0, 3, tmp_path / "faults")
    assert (refused.counts, refused.faults) == ({"rejected": 3}, {})
    written = fuzz(Doing(tmp_path, lambda _, out: (out / "a").write_text("x")), 0, 0, 3, tmp_path / "faults")
    assert (written.counts, written.faults) == ({"accepted": 3}, {})


def test_a_number_gives_the_same_input_in_any_campaign(tmp_path: Path) -> None:
    reader = Doing(tmp_path, refuse)
    assert make_input(reader, 3, 5) == make_input(reader, 3, 5)
    made = {make_input(reader, seed, number).data for seed in range(2) for number in range(20)}
    assert len(made) > 30
    fuzz(Doing(tmp_path, WORKS["ValueError"]), 3, 5, 1, tmp_path / "faults")
    (kept,) = (tmp_path / "faults").glob("doing-3-5-*.bin")
    assert kept.read_bytes() == make_input(reader, 3, 5).data


def test_memory_is_measured_by_the_system() -> None:
    page = os.sysconf("SC_PAGE_SIZE")
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * page // 2**20
    assert abs(watch.memory("VmRSS") - resident) <= 2
