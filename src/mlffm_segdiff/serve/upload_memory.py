"""A bound on the memory of all uploads, which slow clients cannot hold."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mlffm_segdiff.serve.admission import Clock, busy


class HeldUpload:
    """The bytes of one upload in memory.

    Attributes:
        held: Number of bytes received.
        complete: Whether all bytes were received; a complete upload is not given up.
        given_up: Whether its memory went to others; see `give_up`.
        on_give_up: Called when it is given up.
    """

    def __init__(self, memory: "UploadMemory", since: float) -> None:
        self._memory = memory
        self.since = since
        self.held = 0
        self.complete = False
        self.given_up = False
        self.on_give_up: Callable[[], None] = lambda: None

    def take(self, count: int) -> None:
        """Hold more bytes. Raises RefusedError (503) if they are not free."""
        self._memory.take(self, count)

    def give_up(self) -> None:
        """Stop the upload and count its bytes as free."""
        self.given_up, self.held = True, 0
        self.on_give_up()


class UploadMemory:
    """The memory of all uploads, at most a number of bytes.

    Memory is counted as bytes arrive, so that a client holds no more than it sent. If none is left, the
    incomplete upload with the most byte-seconds (bytes held, times the time since its start) is given up: one
    that was sent to hold memory has more of them than one that is merely slow.

    Args:
        most: Bytes.
        retry_seconds: Returns the seconds after which a refused client should try again.
        clock: Seconds.
    """

    def __init__(self, most: int, retry_seconds: Callable[[], int], clock: Clock = time.monotonic) -> None:
        self.most = most
        self._retry_seconds = retry_seconds
        self._clock = clock
        self._uploads: set[HeldUpload] = set()

    @property
    def held(self) -> int:
        """Bytes of all uploads in memory."""
        return sum(one.held for one in self._uploads)

    @contextmanager
    def upload(self) -> Iterator[HeldUpload]:
        """Yield a new upload; its memory is free again after the block."""
        one = HeldUpload(self, self._clock())
        self._uploads.add(one)
        try:
            yield one
        finally:
            self._uploads.discard(one)

    def take(self, upload: HeldUpload, count: int) -> None:
        """Hold more bytes of an upload; see `HeldUpload.take`."""
        if upload.given_up:
            raise self.refusal()
        upload.held += count
        while self.held > self.most:
            now = self._clock()
            incomplete = [one for one in self._uploads if not (one.complete or one.given_up)]
            worst = max(incomplete, key=lambda one: one.held * (now - one.since))
            worst.give_up()
            if worst is upload:
                raise self.refusal()

    def refusal(self) -> Exception:
        """Return the refusal of an upload that was given up."""
        detail = f"the uploads in progress hold all of the {self.most / 2**20:g} MiB for them"
        return busy(detail, self._retry_seconds())
