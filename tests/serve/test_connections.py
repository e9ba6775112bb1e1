import asyncio
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from starlette.types import Receive, Scope, Send
from uvicorn import Config
from uvicorn.server import ServerState

from mlffm_segdiff.serve.connections import Connection, Watch

HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n"


@dataclass
class Pipe(asyncio.Transport):
    """A client that reads nothing while `unsent` is set."""

    peer: str
    written: bytes = b""
    unsent: int = 0
    ended: str = ""
    paused: bool = False
    _extra: dict[str, object] = field(default_factory=dict)

    def get_extra_info(self, name: str, default: object = None) -> object:
        return (self.peer, 1) if name == "peername" else default

    def write(self, data: bytes) -> None:
        self.written += data

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def is_closing(self) -> bool:
        return bool(self.ended)

    def close(self) -> None:
        self.ended = self.ended or "closed"

    def abort(self) -> None:
        self.ended = "aborted"

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


class Scene:
    """Connections to an application that answers when `answer` is set, watched with a clock of its own."""

    def __init__(self, **limits: int) -> None:
        self.now = 0.0
        self.answer = asyncio.Event()
        self.watch = Watch(clock=lambda: self.now, **limits)
        self.config = Config(self._app, interface="asgi3", lifespan="off", log_level="critical")
        self.config.load()
        self.state = ServerState()

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            pass
        await self.answer.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})

    async def connect(self, sent: bytes = b"", peer: str = "198.51.100.1") -> tuple[Connection, Pipe]:
        connection, pipe = Connection(self.config, self.state, {}, watch=self.watch), Pipe(peer)
        connection.connection_made(pipe)
        await self.send(connection, sent)
        return connection, pipe

    async def send(self, connection: Connection, sent: bytes) -> None:
        if sent:
            connection.data_received(sent)
        for _ in range(5):
            await asyncio.sleep(0)

    async def wait(self, seconds: float) -> None:
        """Let time pass, a second at a time, as the server does."""
        for _ in range(round(seconds)):
            self.now += 1
            self.watch.sweep(list(self.state.connections))
            await asyncio.sleep(0)


def play(scene: Callable[[], object]) -> None:
    asyncio.run(scene())


def test_headers_that_do_not_end_are_refused_after_ten_seconds() -> None:
    async def scene() -> None:
        scene = Scene()
        slow, pipe = await scene.connect(HEAD[:-2])
        _, silent = await scene.connect()
        for _ in range(9):  # a byte now and then does not help
            await scene.wait(1)
            await scene.send(slow, b"x")
        assert (pipe.ended, silent.ended) == ("", "")
        await scene.wait(3)
        assert (pipe.ended, silent.ended) == ("closed", "closed")
        assert pipe.written.startswith(b"HTTP/1.1 408 ")
        assert problem(pipe) == "upload-too-slow"
        assert silent.written == b""

    play(scene)


def test_a_body_that_does_not_end_is_cut_off_later_than_the_application_refuses_it() -> None:
    async def scene() -> None:
        scene = Scene()
        connection, pipe = await scene.connect(HEAD + b"x")
        for _ in range(8):
            await scene.wait(8)
            await scene.send(connection, b"x")
        assert pipe.ended == ""
        await scene.wait(8)
        assert pipe.ended == "aborted"

    play(scene)


def test_a_client_that_does_not_read_its_response_is_cut_off() -> None:
    async def scene() -> None:
        scene = Scene()
        scene.answer.set()
        _, pipe = await scene.connect(HEAD + b"x" * 10)
        pipe.unsent = 100
        await scene.wait(60)
        assert pipe.ended == ""
        await scene.wait(2)
        assert pipe.ended == "aborted"

    play(scene)


def test_work_has_no_limit_and_idle_connections_are_kept_longer_than_a_proxy_keeps_them() -> None:
    async def scene() -> None:
        scene = Scene()
        connection, pipe = await scene.connect(HEAD + b"x" * 10)
        await scene.wait(500)
        assert pipe.ended == ""
        scene.answer.set()
        await scene.send(connection, b"")
        assert pipe.written.endswith(b"done\r\n0\r\n\r\n") or pipe.written.endswith(b"done")
        await scene.wait(70)
        assert pipe.ended == ""
        await scene.wait(8)
        assert pipe.ended == "closed"

    play(scene)


def test_each_request_on_a_connection_has_its_own_time() -> None:
    async def scene() -> None:
        scene = Scene()
        scene.answer.set()
        connection, pipe = await scene.connect(HEAD)
        for _ in range(5):
            await scene.wait(50)
            await scene.send(connection, b"x" * 10)
            await scene.send(connection, HEAD)
        assert pipe.ended == ""
        assert pipe.written.count(b"HTTP/1.1 200") == 5

    play(scene)


def test_a_disconnect_is_noticed_behind_a_pipelined_request() -> None:
    async def scene() -> None:
        scene = Scene()
        connection, pipe = await scene.connect(HEAD + b"x" * 10)
        await scene.send(connection, HEAD)
        assert pipe.paused  # by uvicorn
        await scene.wait(1)
        assert not pipe.paused
        await scene.send(connection, b"x" * 100_000)
        await scene.wait(1)
        assert pipe.paused  # more than a few requests are not kept

    play(scene)


def test_too_many_connections_cost_the_client_that_has_most_of_them() -> None:
    async def scene() -> None:
        scene = Scene(most=32)
        _, first = await scene.connect(HEAD[:9], "198.51.100.1")
        many = [(await scene.connect(HEAD[:9], "198.51.100.2"))[1] for _ in range(31)]
        assert not any(pipe.ended for pipe in (first, *many))
        connection, new = await scene.connect(peer="198.51.100.3")
        assert (first.ended, new.ended) == ("", "")
        assert sum(pipe.ended == "closed" for pipe in many) == 2
        await scene.send(connection, HEAD + b"x" * 10)
        scene.answer.set()
        await scene.send(connection, b"")
        assert new.written.startswith(b"HTTP/1.1 200")

    play(scene)


def test_a_connection_is_refused_if_all_others_are_at_work() -> None:
    async def scene() -> None:
        scene = Scene(most=3)
        working = [(await scene.connect(HEAD + b"x" * 10))[1] for _ in range(3)]
        _, new = await scene.connect()
        assert new.written.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 1\r\n" in new.written.lower()
        assert (problem(new), new.ended) == ("busy", "closed")
        assert not any(pipe.ended for pipe in working)

    play(scene)


def test_unread_responses_are_limited_all_together() -> None:
    async def scene() -> None:
        scene = Scene(most_unsent=100)
        pipes = [(await scene.connect())[1] for _ in range(3)]
        for pipe, unsent in zip(pipes, (30, 60, 40), strict=True):
            pipe.unsent = unsent
        await scene.wait(1)
        assert [pipe.ended for pipe in pipes] == ["", "aborted", ""]

    play(scene)


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 70_000,
    ],
)
def test_what_is_not_http_is_refused_with_a_problem(sent: bytes) -> None:
    async def scene() -> None:
        scene = Scene()
        _, pipe = await scene.connect(sent)
        assert pipe.written.startswith(b"HTTP/1.1 400 ")
        assert (problem(pipe), pipe.ended) == ("malformed-request", "closed")
        assert b"nosniff" in pipe.written

    play(scene)


def test_nonsense_after_a_request_ends_the_connection_only() -> None:
    async def scene() -> None:
        scene = Scene()
        connection, pipe = await scene.connect(HEAD + b"x" * 10 + b"nonsense\r\n\r\n")
        scene.answer.set()
        await scene.send(connection, b"")
        assert pipe.written.startswith(b"HTTP/1.1 200 ")
        assert pipe.ended == "closed"

    play(scene)


def problem(pipe: Pipe) -> str:
    """The kind of problem in the response."""
    found = re.search(rb"\r\n\r\n(\{.*\})", pipe.written)
    assert found
    return json.loads(found[1])["problem"]


def test_transfers_that_make_progress_are_not_slow() -> None:
    """4 MiB in 50 seconds, up or down, are enough; 1 MiB is not."""

    async def scene() -> None:
        scene = Scene()
        length = 2**30
        head = HEAD.replace(b": 10", f": {length}".encode())
        fast, fast_pipe = await scene.connect(head)
        slow, slow_pipe = await scene.connect(head)
        reader, reader_pipe = await scene.connect(HEAD + bytes(10))
        reader_pipe.unsent = 1
        for _ in range(4):
            await scene.wait(50)
            await scene.send(fast, bytes(2**22))
            if not slow_pipe.ended:
                await scene.send(slow, bytes(2**20))
            for _ in range(64):
                reader.resume_writing()
        assert (fast_pipe.ended, slow_pipe.ended, reader_pipe.ended) == ("", "aborted", "")
        await scene.wait(75)
        assert reader_pipe.ended == "aborted"

    play(scene)
