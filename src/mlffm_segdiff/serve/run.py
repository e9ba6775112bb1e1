"""The process that serves until it is stopped."""

import contextlib
import socket
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI

from mlffm_segdiff.config.errors import UserError

BACKLOG = 128
GRACE_SECONDS = 60


def listening_socket(host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 selects a free one. Raises UserError if it cannot listen."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address, family=family, backlog=BACKLOG)
    except OSError as error:
        raise UserError(
            f"{host} port {port} cannot be served ({error.strerror or error}); see --host and --port"
        ) from error


def url(listening: socket.socket) -> str:
    """Return the address of a listening socket, for a browser on this machine."""
    host, port = listening.getsockname()[:2]
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{shown}]:{port}/" if ":" in shown else f"http://{shown}:{port}/"


def serve_app(app: FastAPI, listening: socket.socket, started: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM, then refuse new requests and stop after the running ones.

    Only faults are logged. Requests that take longer than GRACE_SECONDS at the end, and those at a second
    signal, are cut off.

    Args:
        app: The application.
        listening: Socket to serve on.
        started: Called when the server answers requests.
    """
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    server = _Announced(config, started)
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises the signal again when it is done
        server.run(sockets=[listening])


class _Announced(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, on_start: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_start = on_start

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_start()
