"""The processors at hand."""

import os


def processors() -> int:
    """Return those this process may run on, where the system tells (macOS and Windows do not)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_threads(available: int) -> int:
    """Returns the default number of threads: half of the processors, at least 2, at most all."""
    return min(max(2, available // 2), available)
