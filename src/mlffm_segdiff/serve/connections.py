"""Connections that are closed when their client is slow, and a limit on their number.

uvicorn closes idle connections, but waits without limit for the rest of a request's headers and for a client
to read its response, and it counts idle connections in ``limit_concurrency``.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Collection, Mapping
from enum import Enum, auto
from http import HTTPStatus
from typing import Any

import h11
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from mlffm_segdiff.serve.admission import Clock, busy
from mlffm_segdiff.serve.guard import ALL_HEADERS
from mlffm_segdiff.serve.problem import BAD_REQUEST, TIMEOUT, RefusedError
from mlffm_segdiff.serve.upload import PROGRESS_BYTES, UPLOAD_SECONDS

IDLE_SECONDS = 75
"""Longer than proxies keep a connection (nginx: 60 s), so that they never reuse one that is being closed."""
SWEEP_SECONDS = 1.0
MAX_CONNECTIONS = 512
MAX_UNSENT = 256 * 2**20
MAX_PIPELINED = 2**16
SENT_PIECE = 2**16
"""Bytes that a client has read, about, when there is room for more in the buffer of its connection."""


class Phase(Enum):
    """Phase of a connection: what it waits for."""

    HEADERS = auto()
    """The rest of the headers of a request; at first, all of them."""
    BODY = auto()
    WORK = auto()
    """The server."""
    READING = auto()
    """The client, to read the response."""
    IDLE = auto()
    """The next request."""


SECONDS: Mapping[Phase, float] = {
    Phase.HEADERS: 10,
    Phase.BODY: UPLOAD_SECONDS + 10,  # the application refuses slow uploads first
    Phase.READING: 60,
    Phase.IDLE: IDLE_SECONDS,
}
WAITING = (Phase.IDLE, Phase.HEADERS)


class Connection(H11Protocol):
    """One connection of uvicorn's, watched by a `Watch`."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        watch: "Watch",
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._watch = watch
        self._moved = 0

    def data_received(self, data: bytes) -> None:
        """Receive bytes of the client."""
        self._moved += len(data)
        super().data_received(data)

    def resume_writing(self) -> None:
        """Continue to send, as the client has read."""
        self._moved += SENT_PIECE
        super().resume_writing()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept the connection, or refuse it if there are too many."""
        super().connection_made(transport)
        self._watch.make_room(self, self.connections)

    @property
    def phase(self) -> Phase:
        """Current phase of the connection."""
        if self.transport.get_write_buffer_size():
            return Phase.READING
        if self.conn.their_state is h11.SEND_BODY:
            return Phase.BODY
        if self.conn.their_state is not h11.IDLE:
            return Phase.WORK
        return Phase.HEADERS if self.cycle is None or self.pipelined else Phase.IDLE

    @property
    def progress(self) -> int:
        """A number that grows with each PROGRESS_BYTES received or read."""
        return self._moved // PROGRESS_BYTES

    @property
    def pipelined(self) -> int:
        """Bytes received and not parsed yet: incomplete headers, or a request after the current one."""
        return len(self.conn.trailing_data[0])

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP, with a problem as all other refusals."""
        self.refuse(RefusedError(BAD_REQUEST, msg.rstrip(".").lower(), "use an HTTP client"))

    def refuse(self, refusal: RefusedError) -> None:
        """Send a refusal if no response has been started, and close the connection."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            response = refusal.response()
            headers = [*response.raw_headers, (b"connection", b"close"), *ALL_HEADERS]
            reason = HTTPStatus(refusal.status).phrase.encode()
            head = h11.Response(status_code=refusal.status, headers=headers, reason=reason)
            for event in (head, h11.Data(data=bytes(response.body)), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        if self.cycle is not None:  # the application must not answer too
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()

    def close_slow(self, phase: Phase) -> None:
        """Close the connection of a client that is too slow in a phase."""
        if phase is Phase.HEADERS and self.pipelined:
            detail = f"the headers took more than {SECONDS[phase]:g} seconds"
            self.refuse(RefusedError(TIMEOUT, detail, "send them at once"))
        elif phase in WAITING:
            self.transport.close()
        else:
            self.transport.abort()

    def watch_for_disconnect(self) -> None:
        """Continue to read while the server works: uvicorn stops after a pipelined request."""
        if self.pipelined < MAX_PIPELINED:
            self.flow.resume_reading()


class Watch:
    """Closes slow connections, and those that are too many.

    Args:
        most: Connections.
        most_unsent: Bytes of all responses that clients have not read.
        clock: Seconds.
    """

    def __init__(
        self, most: int = MAX_CONNECTIONS, most_unsent: int = MAX_UNSENT, clock: Clock = time.monotonic
    ) -> None:
        self._most = most
        self._most_unsent = most_unsent
        self._clock = clock
        self._since: dict[Connection, tuple[object, float]] = {}

    async def run(self, connections: Collection[Any]) -> None:
        """Call `sweep` regularly until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            try:
                self.sweep([one for one in connections if isinstance(one, Connection)])
            except Exception:  # of one connection; the others must still be watched
                logging.getLogger("uvicorn.error").exception("connections could not be checked")

    def sweep(self, connections: Collection[Connection]) -> None:
        """Close connections that are in one phase for too long, and the largest unread responses."""
        now, before = self._clock(), self._since
        self._since = {}
        for one in connections:
            phase = one.phase
            state = (phase, one.cycle, one.progress)
            old, since = before.get(one, (state, now))
            self._since[one] = state, since if old == state else now
            if now - self._since[one][1] > SECONDS.get(phase, float("inf")):
                one.close_slow(phase)
            elif phase is Phase.WORK:
                one.watch_for_disconnect()
        self._limit_unsent(connections)

    def _limit_unsent(self, connections: Collection[Connection]) -> None:
        unsent = {one: one.transport.get_write_buffer_size() for one in connections}
        total = sum(unsent.values())
        for one in sorted(unsent, key=unsent.__getitem__, reverse=True):
            if total <= self._most_unsent:
                break
            one.transport.abort()
            total -= unsent[one]

    def make_room(self, new: Connection, connections: Collection[Any]) -> None:
        """Keep the number of connections within the limit.

        Those of the clients with the most connections that have waited for a request for longest are closed,
        several at once. If none waits, the new connection is refused.
        """
        if len(connections) <= self._most:
            return
        open_ones = [one for one in connections if not one.transport.is_closing()]
        if len(open_ones) <= self._most:
            return
        counts = Counter(map(_peer, open_ones))
        waiting = [one for one in open_ones if one is not new and one.phase in WAITING]
        if not waiting:
            new.refuse(busy(f"{len(connections)} connections are in use", 1))
            return
        now = self._clock()
        longest = sorted(waiting, key=lambda one: (-counts[_peer(one)], self._since.get(one, (None, now))[1]))
        for one in longest[: max(1, self._most // 16)]:
            one.transport.close()


def _peer(connection: Connection) -> str:
    return connection.client[0] if connection.client else ""
