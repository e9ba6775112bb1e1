"""The summary of the kills."""

from collections.abc import Iterator

import pytest

ROWS: list[str] = []


@pytest.fixture(scope="session")
def rows() -> list[str]:
    """The rows of the summary, one for each command."""
    return ROWS


@pytest.hookimpl(wrapper=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Iterator[None]:
    """Print the summary of the kills."""
    yield
    if ROWS:
        terminalreporter.section("killed commands")
        for row in ROWS:
            terminalreporter.write_line(row)
