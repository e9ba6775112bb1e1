from contextlib import ExitStack

import pytest

from mlffm_segdiff.serve.admission import Clients, Lane, client_of
from mlffm_segdiff.serve.problem import RefusedError


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_retry_after_is_the_time_that_the_queue_takes_at_the_measured_rate() -> None:
    """Four slots, of which one became free every 2 s: those taken now are done after 8 s."""
    clock = Clock()
    lane = Lane(4, clock=clock)
    with ExitStack() as others:
        for _ in range(3):
            others.enter_context(lane.slot())
        for _ in range(5):
            with lane.slot():
                clock.now += 2
        with lane.slot(), pytest.raises(RefusedError) as refused:
            lane.require_free()
    assert refused.value.status == 503
    assert refused.value.headers["Retry-After"] == "8"
    assert "4 requests" in refused.value.detail


def test_retry_after_follows_a_queue_that_does_not_move() -> None:
    clock = Clock()
    lane = Lane(1, clock=clock)
    assert lane.retry_seconds() == 1
    clock.now += 500  # without a request
    with lane.slot():
        assert lane.retry_seconds() == 1
        clock.now += 41.5
        assert lane.retry_seconds() == 42
    assert lane.retry_seconds() == 1


def test_slots_are_free_again_after_a_fault() -> None:
    lane = Lane(1)
    with pytest.raises(ZeroDivisionError), lane.slot():
        raise ZeroDivisionError
    lane.require_free()


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("127.0.0.1", None),
        ("::1", None),
        ("::ffff:127.0.0.1", None),
        ("", None),
        ("testclient", None),
    ],
)
def test_the_client_of_an_address(address: str, client: str | None) -> None:
    assert client_of(address) == client


def test_only_the_client_with_too_many_requests_is_refused() -> None:
    clients = Clients(2, lambda: 5)
    with clients.request("2001:db8::1"), clients.request("2001:db8::2"):
        with pytest.raises(RefusedError) as refused, clients.request("2001:db8::3"):
            pass
        assert (refused.value.status, refused.value.headers) == (429, {"Retry-After": "5"})
        with clients.request("198.51.100.7"), clients.request("127.0.0.1"), clients.request("127.0.0.1"):
            pass
    with clients.request("2001:db8::1"):
        pass
