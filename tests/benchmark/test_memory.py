import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from mlffm_segdiff.benchmark import memory
from mlffm_segdiff.benchmark.memory import measure_memory, peak_bytes
from mlffm_segdiff.benchmark.subject import Subject

MEGABYTE = 1e6
told = pytest.mark.skipif(find_spec("resource") is None, reason="this system does not tell")


@told
def test_the_peak_is_the_commands_own() -> None:
    held = torch.ones(100_000_000)
    assert held.nbytes == 400 * MEGABYTE
    plain = peak_bytes([sys.executable, "-c", "pass"])
    large = peak_bytes([sys.executable, "-c", "x = bytearray(300_000_000); del x"])
    assert MEGABYTE < plain < 100 * MEGABYTE
    assert 300 * MEGABYTE <= large < 300 * MEGABYTE + 1.5 * plain


@told
def test_a_command_that_fails_is_no_measurement(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        peak_bytes([sys.executable, "-c", "raise SystemExit(1)"])
    assert "CalledProcessError" in capfd.readouterr().err


@told
def test_predict_is_run_on_files_and_on_more(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command with the fewer files is run; the other stands in with three times as much."""
    runs: list[tuple[int, int]] = []

    def peak(command: list[str]) -> int:
        options = dict(zip(command[4::2], command[5::2], strict=True))
        files = len(list(Path(options["-i"]).iterdir()))
        runs.append((files, 3 * runs[0][1] if runs else peak_bytes(command)))
        assert (options["--batch-size"], options["--weights"]) == ("1", subject.weights)
        assert options["--precision"] == "float32"
        assert options["--threads"] == str(torch.get_num_threads())
        if files == 2:
            assert len(list(Path(options["-o"], "masks").iterdir())) == 2
        return runs[-1][1]

    monkeypatch.setattr(memory, "peak_bytes", peak)
    monkeypatch.setattr(memory, "FILES", 2)
    found = measure_memory(subject)
    (few, peak_of_few), (many, _) = runs
    assert (few, many) == (2, 8)
    assert 100 * MEGABYTE < peak_of_few < 4000 * MEGABYTE
    figures = [result.figure for result in found.results]
    assert [figure.value for figure in figures if figure] == pytest.approx([3 * peak_of_few / 1e9, 3])


def test_a_system_that_does_not_tell_is_said(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "find_spec", lambda name: None)
    found = measure_memory(subject)
    assert [(result.goal.name, result.figure) for result in found.results] == [
        ("memory", None),
        ("memory-growth", None),
    ]
    assert all("does not tell" in result.note for result in found.results)
