import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from mlffm_segdiff.benchmark import predict_cost
from mlffm_segdiff.benchmark.predict_cost import measure_memory, measure_predict, peak_bytes
from mlffm_segdiff.benchmark.subject import Subject
from mlffm_segdiff.inference.model import Model

MEGABYTE = 1e6
measures_memory = pytest.mark.skipif(
    find_spec("resource") is None, reason="this system does not report peak memory"
)


@measures_memory
def test_the_peak_is_the_commands_own() -> None:
    held = torch.ones(100_000_000)
    assert held.nbytes == 400 * MEGABYTE
    plain = peak_bytes([sys.executable, "-c", "pass"])
    large = peak_bytes([sys.executable, "-c", "x = bytearray(300_000_000); del x"])
    assert MEGABYTE < plain < 100 * MEGABYTE
    assert 300 * MEGABYTE <= large < 300 * MEGABYTE + 1.5 * plain


@measures_memory
def test_a_command_that_fails_is_not_a_measurement(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        peak_bytes([sys.executable, "-c", "raise SystemExit(1)"])
    assert "CalledProcessError" in capfd.readouterr().err


@measures_memory
def test_predict_is_run_on_files_and_on_more(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command with the fewer files is run; the other stands in with three times as much."""
    runs: list[tuple[int, int]] = []

    def peak(command: list[str]) -> int:
        options = dict(zip(command[4::2], command[5::2], strict=True))
        files = len(list(Path(options["-i"]).iterdir()))
        runs.append((files, 3 * runs[0][1] if runs else peak_bytes(command)))
        assert (options["--batch-size"], options["--weights"]) == ("1", subject.weights)
        assert (options["--precision"], options["--device"]) == ("float32", "cpu")
        assert options["--threads"] == str(torch.get_num_threads())
        if files == 2:
            assert len(list(Path(options["-o"], "masks").iterdir())) == 2
        return runs[-1][1]

    monkeypatch.setattr(predict_cost, "peak_bytes", peak)
    monkeypatch.setattr(predict_cost, "FILES", 2)
    found = measure_memory(subject)
    (few, peak_of_few), (many, _) = runs
    assert (few, many) == (2, 8)
    assert 100 * MEGABYTE < peak_of_few < 4000 * MEGABYTE
    figures = [result.figure for result in found.results]
    assert [figure.value for figure in figures if figure] == pytest.approx([3 * peak_of_few / 1e9, 3])


def test_a_system_that_does_not_report_memory_is_noted(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict_cost, "find_spec", lambda name: None)
    found = measure_memory(subject)
    assert [(result.goal.name, result.figure) for result in found.results] == [
        ("memory", None),
        ("memory-growth", None),
    ]
    assert all("does not report" in result.note for result in found.results)


def test_files_against_decoded_images(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    """An image takes the network 1 s, and reading and writing it 1 s more."""
    now, batches = 0.0, []
    real_segment, real_predict = Model.segment, predict_cost.predict_files

    def segment(model: Model, images: list[object], view: object) -> object:
        nonlocal now
        now += len(images)
        batches.append(len(images))
        return real_segment(model, images, view)

    def predict(paths: list[object], *arguments: object, **options: object) -> object:
        nonlocal now
        now += len(paths)
        assert options == {"batch_size": 8}
        rows = list(real_predict(paths, *arguments, **options))
        assert [row.status for row in rows] == ["done"] * 9
        return rows

    monkeypatch.setattr(Model, "segment", segment)
    monkeypatch.setattr(predict_cost, "predict_files", predict)
    object.__setattr__(subject, "clock", lambda: now)
    found = measure_predict(subject)
    (result,) = found.results
    assert result.figure is not None
    assert result.figure.value == 0.5
    assert list(found.facts["predict"].values()) == [0.5, 1.0]
    assert batches == [8, 1] * (len(batches) // 2)
