"""Slots of the queue with a true Retry-After, and the limit per client."""

import math
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv6Address, ip_address, ip_network

from mlffm_segdiff.serve.problem import BUSY, TOO_MANY, RefusedError

MEASURED = 32
MAX_RETRY_SECONDS = 600
IPV6_PREFIX = 64

Clock = Callable[[], float]


class Lane:
    """A limited number of slots, and the rate at which they become free.

    Args:
        size: Number of slots.
        what: Name of the things that take a slot, in the plural, for the refusal.
        clock: Returns the time in seconds.
    """

    def __init__(self, size: int, what: str = "requests", clock: Clock = time.monotonic) -> None:
        self.size = size
        self.taken = 0
        self._what = what
        self._clock = clock
        self._intervals: deque[float] = deque(maxlen=MEASURED)
        self._last_change = clock()

    def require_free(self) -> None:
        """Raise RefusedError (503, Retry-After) if all slots are taken."""
        if self.taken >= self.size:
            detail = f"the queue is full: {self.taken} {self._what} are in progress or waiting"
            raise busy(detail, self.retry_seconds())

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Take a slot for the block. Raises RefusedError as `require_free`."""
        self.require_free()
        if not self.taken:
            self._last_change = self._clock()
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1
            now = self._clock()
            self._intervals.append(now - self._last_change)
            self._last_change = now

    def retry_seconds(self) -> int:
        """Estimate the seconds until the requests that have a slot now are done.

        It is the mean time between the last slots that became free, times the slots taken, but not less than
        the time since the last one.
        """
        mean = sum(self._intervals) / len(self._intervals) if self._intervals else 0.0
        seconds = max(mean * self.taken, self._clock() - self._last_change if self.taken else 0.0)
        return min(max(1, math.ceil(seconds)), MAX_RETRY_SECONDS)


class Clients:
    """The requests of each client in progress, at most a number of each.

    Clients on this machine have no limit: a proxy here is all of its clients. An IPv6 client is its /64
    network, all of which usually belongs to one customer.

    Args:
        most: Requests of one client.
        retry_seconds: Returns the seconds after which a refused client should try again.
    """

    def __init__(self, most: int, retry_seconds: Callable[[], int]) -> None:
        self._most = most
        self._retry_seconds = retry_seconds
        self._requests: Counter[str] = Counter()

    @contextmanager
    def request(self, address: str) -> Iterator[None]:
        """Count a request for the block. Raises RefusedError (429) if the client has too many."""
        client = client_of(address)
        if client is None:
            yield
            return
        if self._requests[client] >= self._most:
            detail = f"{self._requests[client]} requests of this client are in progress"
            headers = {"Retry-After": str(self._retry_seconds())}
            raise RefusedError(TOO_MANY, detail, "wait for their responses", headers=headers)
        self._requests[client] += 1
        try:
            yield
        finally:
            self._requests[client] -= 1
            self._requests += Counter()  # drops clients with no request


def client_of(address: str) -> str | None:
    """Return the client that an IP address stands for; None on this machine or without an address."""
    try:
        found = ip_address(address)
    except ValueError:
        return None
    if isinstance(found, IPv6Address):
        if found.ipv4_mapped is None:
            return None if found.is_loopback else str(ip_network((found.packed, IPV6_PREFIX), strict=False))
        found = found.ipv4_mapped
    return None if found.is_loopback else str(found)


def busy(detail: str, seconds: int) -> RefusedError:
    """Return the refusal of a request that may be repeated after some seconds."""
    return RefusedError(BUSY, detail, f"try again in {seconds} s", headers={"Retry-After": str(seconds)})
