from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from mlffm_segdiff.benchmark import run
from mlffm_segdiff.benchmark.goals import Findings
from mlffm_segdiff.benchmark.run import MEASUREMENTS, chosen_measurements
from mlffm_segdiff.config.errors import UserError


def test_measurements_come_in_their_own_order() -> None:
    assert chosen_measurements(["peak", "segmentation", "peak"]) == ["segmentation", "peak"]
    assert chosen_measurements([]) == list(MEASUREMENTS)


def test_an_unknown_measurement_is_reported() -> None:
    with pytest.raises(UserError, match="'speed' is not one of segmentation, denoising"):
        chosen_measurements(["peak", "speed"])


def test_both_formats_are_measured_and_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The subject of each format is measured; the report has a column for each."""
    monkeypatch.setattr(run, "load_subject", lambda name, precision, *_: SimpleNamespace(precision=precision))
    measured = {"segmentation": lambda subject: Findings((), facts={"x": {subject.precision: 1.0}})}
    monkeypatch.setattr(run, "MEASUREMENTS", measured)
    shown: list[str] = []

    def status(label: str) -> AbstractContextManager[None]:
        shown.append(label)
        return nullcontext()

    plan = run.BenchmarkPlan(precision="both")
    facts, found = run.run_benchmark(plan, tmp_path / "new", "command", status)
    assert shown == ["measuring segmentation, float32", "measuring segmentation, bf16"]
    assert list(found) == ["float32", "bf16"]
    assert (facts["command"], facts["weights"]) == ("command", "default")
    assert {path.name for path in (tmp_path / "new").iterdir()} == {
        "benchmark.json",
        "benchmark.md",
        "benchmark.png",
    }


@pytest.mark.parametrize("name", ["benchmark.json", "benchmark.md", "benchmark.png"])
def test_files_of_something_else_are_kept(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "load_subject", lambda name, precision, *_: SimpleNamespace(precision=precision))
    monkeypatch.setattr(run, "MEASUREMENTS", {"segmentation": lambda _: Findings(())})
    (tmp_path / name).write_text("[1]")
    with pytest.raises(UserError, match=f"{name} exists, but no earlier run wrote it"):
        run.run_benchmark(run.BenchmarkPlan(), tmp_path, "command")
    assert (tmp_path / name).read_text() == "[1]"
    for _ in range(2):
        run.run_benchmark(run.BenchmarkPlan(), tmp_path / "new", "command")
