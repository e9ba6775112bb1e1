"""Small data and weights for commands that are killed, and the summary of the kills."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROWS: list[str] = []
TINY = (
    "model.size=tiny",
    "model.encoder_widths=[8,16]",
    "model.encoder_blocks=[1,1]",
    "model.mask_widths=[8,8]",
    "data.size=32",
    "data.workers=0",
    "data.synthetic_count=20",
    "train.images=16",
    "train.batch_size=4",
    "train.warmup=4",
    "train.validate_every=8",
    "train.ema_decay=0.9",
    "train.precision=float32",
)


@pytest.fixture(scope="session")
def rows() -> list[str]:
    """The rows of the summary, one for each command."""
    return ROWS


@pytest.fixture(scope="session")
def tiny() -> tuple[str, ...]:
    """Overrides of a recipe: a tiny network, two validations, 20 synthetic cases at 32 x 32."""
    return TINY


@pytest.fixture(scope="session")
def lesions(made_lesions: Callable[[int], Path]) -> Path:
    """A folder of six synthetic pairs, in images/ and masks/."""
    return made_lesions(6)


@pytest.fixture(scope="session")
def weights(untrained: Callable[..., Path]) -> Path:
    """A folder of tiny untrained weights."""
    return untrained("synthetic", *TINY)


@pytest.hookimpl(wrapper=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Iterator[None]:
    """Print the summary of the kills."""
    yield
    if ROWS:
        terminalreporter.section("killed commands")
        for row in ROWS:
            terminalreporter.write_line(row)
