"""The memory available to this process."""

import os
from collections.abc import Iterator
from pathlib import Path

CONTAINER_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def memory_bytes() -> int | None:
    """Return the memory (bytes) of the machine or its container, whichever is smaller; None if unknown."""
    try:
        whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # Windows has none of these
        return None
    return min([whole, *_container_limits()])


def _container_limits() -> Iterator[int]:
    for name in CONTAINER_LIMITS:
        text = Path(name).read_text("ascii").strip() if Path(name).is_file() else ""
        if text.isdecimal():
            yield int(text)
