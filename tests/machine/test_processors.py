import os

import pytest

from mlffm_segdiff.machine.processors import default_threads, processors


def test_the_processors_this_process_may_run_on_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 5, 6}, raising=False)
    assert processors() == 3


def test_all_processors_count_where_the_system_has_no_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 12)
    assert processors() == 12
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert processors() == 1


@pytest.mark.parametrize(("available", "expected"), [(1, 1), (2, 2), (3, 2), (4, 2), (8, 4), (64, 32)])
def test_half_of_the_processors_work(available: int, expected: int) -> None:
    assert default_threads(available) == expected
