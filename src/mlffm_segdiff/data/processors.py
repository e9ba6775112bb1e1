"""The CPUs available to this process."""

import os


def processors() -> int:
    """Return the number of CPUs this process may use, or of all CPUs on macOS and Windows."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
