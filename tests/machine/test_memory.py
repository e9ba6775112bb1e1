import os
from pathlib import Path

import pytest

from mlffm_segdiff.machine import memory
from mlffm_segdiff.machine.memory import memory_bytes


def test_memory_is_the_machines_or_what_a_container_allows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 1_000_000}
    monkeypatch.setattr(os, "sysconf", sizes.__getitem__)
    limit, untold = tmp_path / "memory.max", tmp_path / "absent"
    monkeypatch.setattr(memory, "CONTAINER_LIMITS", (str(untold), str(limit)))
    found = []
    for text in ("max\n", "2000000000\n", "9223372036854771712\n"):
        limit.write_text(text)
        found.append(memory_bytes())
    assert found == [4_096_000_000, 2_000_000_000, 4_096_000_000]
    monkeypatch.delattr(os, "sysconf")
    assert memory_bytes() is None
