"""The sizes of the campaigns, and their summary."""

import os
import platform
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fuzz.campaign import Reader, Summary, accepts, fuzz

FOLDER = Path(os.environ.get("FUZZ_FOLDER", "build/fuzz"))
ROWS: list[str] = []

Campaign = Callable[[Reader, int], None]


@pytest.fixture
def campaign(request: pytest.FixtureRequest, tmp_path: Path) -> Campaign:
    """Read damaged inputs and fail on any fault: campaign(reader, count)."""
    long = request.node.get_closest_marker("fuzz") is not None
    folder = FOLDER if long else tmp_path / "faults"
    seed, start = (int(os.environ.get(f"FUZZ_{name}", "0")) for name in ("SEED", "START"))

    def run(reader: Reader, count: int) -> None:
        import matplotlib.pyplot  # noqa: F401  its first import writes to the user's cache

        platform.platform()  # starts a program once per process, which MONAI would do by importing mlflow

        assert [name for name, data in reader.seeds.items() if not accepts(reader, name, data)] == []
        summary = fuzz(reader, seed, start, count, folder)
        if long:
            ROWS.append(summary.row())
            _add_row(folder / "summary.txt", summary)
        assert summary.counts.total() == count
        assert not summary.faults, f"\n{summary.row()}\n{summary.report()}"

    return run


def _add_row(path: Path, summary: Summary) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(f"seed {summary.seed} from {summary.start}: {summary.row()}\n")


@pytest.hookimpl(wrapper=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Iterator[None]:
    """Print the summary of a long campaign."""
    yield
    if ROWS:
        terminalreporter.section(f"damaged inputs (also in {FOLDER})")
        for row in ROWS:
            terminalreporter.write_line(row)
