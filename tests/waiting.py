"""Waiting for what other threads and processes do."""

import time
from collections.abc import Callable

PATIENCE = 280
"""Seconds until a wait was in vain, below those of pytest's own limit."""


def wait_until(condition: Callable[[], bool]) -> None:
    """Return once the condition holds."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
