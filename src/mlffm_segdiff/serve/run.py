"""One process that serves until it is told to stop."""

import contextlib
import socket
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI

from mlffm_segdiff.config.errors import UserError

BACKLOG = 128
GRACE_SECONDS = 60


def listening_socket(host: str, port: int) -> socket.socket:
    """Return a socket that listens; port 0 takes a free one. Raises UserError where it cannot."""
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


def serve_app(app: FastAPI, listening: socket.socket, begun: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM; then take no more, and end once running requests are answered.

    begun: called once requests are answered. Nothing is logged but faults. Requests that take longer than
    GRACE_SECONDS at the end, and those at a second signal, are cut off.
    """
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    server = _Announced(config, begun)
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises the signal anew once it is done
        server.run(sockets=[listening])


class _Announced(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, begun: Callable[[], None]) -> None:
        super().__init__(config)
        self._begun = begun

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._begun()
