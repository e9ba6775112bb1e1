from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from mlffm_segdiff.inference.reading import case_image


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The bytes of memory that reading waits for."""
    counts: list[int] = []

    @contextmanager
    def reserved(byte_count: int) -> Iterator[None]:
        counts.append(byte_count)
        yield

    monkeypatch.setattr(case_image, "reserved", reserved)
    return counts
