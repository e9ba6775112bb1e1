import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from mlffm_segdiff.inference.pool import helper_count, in_order


@pytest.mark.parametrize(
    ("processors", "threads", "expected"), [(4, 2, 2), (8, 2, 6), (2, 2, 2), (1, 1, 2), (64, 4, 8)]
)
def test_helpers_take_the_processors_that_the_network_leaves(
    monkeypatch: pytest.MonkeyPatch, processors: int, threads: int, expected: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(processors)), raising=False)
    assert helper_count(threads) == expected


def test_results_come_in_order_though_the_first_is_done_last() -> None:
    second_done = Event()

    def work(item: int) -> int:
        if item == 0:
            assert second_done.wait(10)
        elif item == 1:
            second_done.set()
        return item * item

    with ThreadPoolExecutor(2) as pool:
        assert list(in_order(pool, work, range(6), ahead=4)) == [0, 1, 4, 9, 16, 25]


@pytest.mark.parametrize("ahead", [1, 3])
def test_no_more_items_are_taken_than_may_be_ahead(ahead: int) -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for item in range(20):
            taken += 1
            yield item

    with ThreadPoolExecutor(2) as pool:
        for given, result in enumerate(in_order(pool, lambda item: item, items(), ahead)):
            assert result == given
            assert taken <= given + ahead


def test_an_error_is_raised_in_order_and_pending_items_never_start() -> None:
    started = []
    release = Event()

    def work(item: int) -> int:
        started.append(item)
        if item == 1:
            raise ValueError("item 1")
        if item == 2:
            assert release.wait(10)
        return item

    with ThreadPoolExecutor(1) as pool:
        results = in_order(pool, work, range(9), ahead=5)
        assert next(results) == 0
        with pytest.raises(ValueError, match="item 1"):
            next(results)
        release.set()
    assert set(started) <= {0, 1, 2}
