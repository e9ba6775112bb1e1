"""The process that serves until it is stopped."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address, ip_network
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.serve.connections import IDLE_SECONDS, Connection, Watch

BACKLOG = 128
GRACE_SECONDS = 60
HANDSHAKE_SECONDS = 10.0


def listening_socket(host: str, port: int) -> socket.socket:
    """Return a listening TCP socket.

    Args:
        host: Name or address to listen at.
        port: Port; 0 selects a free one.

    Raises:
        UserError: It cannot listen there.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address, family=family, backlog=BACKLOG)
    except OSError as error:
        raise UserError(
            f"{host} port {port} cannot be served ({error.strerror or error}); see --host and --port"
        ) from error


def url(listening: socket.socket, tls: bool = False) -> str:
    """Return the address of a listening socket, for a browser on this machine.

    Args:
        listening: Listening socket.
        tls: Whether clients connect by HTTPS.
    """
    host, port = listening.getsockname()[:2]
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    scheme = "https" if tls else "http"
    return f"{scheme}://[{shown}]:{port}/" if ":" in shown else f"{scheme}://{shown}:{port}/"


@dataclass(frozen=True)
class Transport:
    """How clients reach a server.

    Attributes:
        certificate: PEM file with the certificate chain for TLS; None for plain HTTP.
        key: PEM file with its private key; None if it is in the same file.
        proxies: Addresses or networks of proxies whose X-Forwarded-For and X-Forwarded-Proto are trusted; "*"
            for any.
    """

    certificate: Path | None = None
    key: Path | None = None
    proxies: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raise UserError if certificate and key cannot be used, or a proxy could never match."""
        for proxy in self.proxies:
            _require_address(proxy)
        if self.certificate is None:
            if self.key is not None:
                raise UserError("--tls-key needs --tls-cert; give the certificate too")
            return
        try:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(self.certificate, self.key, password=lambda: "")
        except (OSError, ValueError) as error:
            raise UserError(
                f"the TLS certificate {self.certificate} cannot be used ({error}); give PEM files without a "
                "password as --tls-cert and --tls-key"
            ) from error


def _require_address(proxy: str) -> None:
    try:
        if proxy != "*":
            (ip_network if "/" in proxy else ip_address)(proxy)
    except ValueError as error:
        raise UserError(
            f"--trust-proxy {proxy!r} is not an IP address or network ({error}); give one such as 10.0.0.7, "
            "10.0.0.0/8, or * for any proxy"
        ) from None


def make_server(
    app: FastAPI, started: Callable[[], None], transport: Transport | None = None
) -> uvicorn.Server:
    """Return a server of an application with limits on slow clients; see `serve_app`."""
    transport = transport or Transport()
    watch = Watch()
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=bool(transport.proxies),
        forwarded_allow_ips=list(transport.proxies),
        ssl_certfile=transport.certificate,
        ssl_keyfile=transport.key,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    return _Watched(config, watch, started, app.state.on_stop)


def serve_app(
    app: FastAPI,
    listening: socket.socket,
    started: Callable[[], None],
    transport: Transport | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM, then refuse new requests and stop after the running ones.

    Only faults are logged. Requests that take longer than GRACE_SECONDS at the end, and those at a second
    signal, are cut off. Jobs are cancelled, since nobody could fetch their results.

    Args:
        app: The application.
        listening: Socket to serve on.
        started: Called when the server answers requests.
        transport: How clients reach the server; by default plain HTTP, without a proxy.
    """
    server = make_server(app, started, transport)
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises the signal again when it is done
        server.run(sockets=[listening])


class _Watched(uvicorn.Server):
    """A server that announces its start, watches its connections and limits the time of TLS handshakes."""

    def __init__(
        self, config: uvicorn.Config, watch: Watch, on_start: Callable[[], None], on_stop: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._watch = watch
        self._on_start = on_start
        self._on_stop = on_stop
        self._watching: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup([])
        if self.started:
            self.servers = [await self._listen(one) for one in sockets or ()]
            self._watching = asyncio.create_task(self._watch.run(self.server_state.connections))
            self._on_start()

    async def _listen(self, listening: socket.socket) -> asyncio.Server:
        """Accept connections as uvicorn does, which waits for a TLS handshake for a minute."""
        state = self.server_state, self.lifespan.state
        return await asyncio.get_running_loop().create_server(
            partial(Connection, self.config, *state, watch=self._watch),
            sock=listening,
            backlog=BACKLOG,
            ssl=self.config.ssl,
            ssl_handshake_timeout=HANDSHAKE_SECONDS if self.config.ssl else None,
        )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._on_stop()
        await super().shutdown(sockets)
