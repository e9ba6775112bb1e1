"""The CPUs available to this process."""

import os


def processors() -> int:
    """Return the number of CPUs this process may use, or of all CPUs on macOS and Windows."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_threads(available: int) -> int:
    """Return the default number of threads: half of the processors, at least 2, at most all."""
    return min(max(2, available // 2), available)
