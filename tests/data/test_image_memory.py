from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from threading import Barrier, BrokenBarrierError, Event, Lock

import pytest
from waiting import wait_until

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data import image_memory
from mlffm_segdiff.data.image_memory import MAX_MEMORY, require_memory, reserved


@pytest.mark.parametrize(
    ("byte_count", "seconds", "expected"),
    [(MAX_MEMORY // 2, 20, True), (MAX_MEMORY // 2 + 1, 0.1, False), (9 * MAX_MEMORY, 0.1, False)],
)
def test_blocks_run_together_only_if_their_memory_allows_it(
    byte_count: int, seconds: float, expected: bool
) -> None:
    both = Barrier(2, timeout=seconds)

    def meets(_: int) -> bool:
        with reserved(byte_count), suppress(BrokenBarrierError):
            both.wait()
            return True
        return False

    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(meets, range(2))) == [expected] * 2


class Turn:
    """A lock that counts the threads that have asked for it."""

    def __init__(self) -> None:
        self.lock, self.asked = Lock(), 0

    def __enter__(self) -> None:
        self.asked += 1
        self.lock.acquire()

    def __exit__(self, *_: object) -> None:
        self.lock.release()


def test_a_large_block_does_not_wait_for_later_small_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    order, release, turn = [], Event(), Turn()
    monkeypatch.setattr(image_memory, "_TURN", turn)

    def work(byte_count: int) -> None:
        with reserved(byte_count):
            order.append(byte_count)
            if byte_count == 10:
                assert release.wait(20)

    with ThreadPoolExecutor(3) as threads:
        threads.submit(work, 10)
        wait_until(lambda: order == [10])
        large = threads.submit(work, MAX_MEMORY)
        wait_until(lambda: turn.asked == 2 and turn.lock.locked())
        small = threads.submit(work, 1)
        wait_until(lambda: turn.asked == 3)
        assert not wait([small], timeout=0.05).done
        release.set()
        large.result()
        small.result()
    assert order == [10, MAX_MEMORY, 1]


def test_memory_is_given_back_after_an_error() -> None:
    for _ in range(3):
        with suppress(ValueError), reserved(MAX_MEMORY):
            raise ValueError
    with reserved(MAX_MEMORY):
        pass


def test_a_block_in_another_is_an_error_and_not_an_endless_wait() -> None:
    with reserved(1), pytest.raises(RuntimeError, match="must not be nested"), reserved(1):
        pass
    with reserved(1):
        pass


def test_too_much_is_refused_with_its_size() -> None:
    require_memory(MAX_MEMORY, "x.tif", "large")
    with pytest.raises(
        UserError, match=r"x\.tif is large and needs 2\.60 GB of memory .* limit of 1\.30; shrink"
    ):
        require_memory(2 * MAX_MEMORY, "x.tif", "large")
