"""Protection from other sites: headers on every response, and requests refused by their origin."""

from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlffm_segdiff.serve.problem import FORBIDDEN, RefusedError

LOOPBACK = ("localhost", "127.0.0.1", "::1")
EVERY_ADDRESS = ("0.0.0.0", "::", "")
SAME_ORIGIN = ("same-origin", "none", None)

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Guard:
    """Middleware that sets `HEADERS` and refuses requests of other sites' pages.

    A page of another site can point its own host name at 127.0.0.1 (DNS rebinding) and read responses, unless
    the name is checked. Starlette's TrustedHostMiddleware checks it too, but answers 400 in plain text, which
    cannot be configured; refusals here are a JSON `Problem` like all others. POST requests must come from the
    server's own page or from outside a browser.

    Args:
        app: The application.
        hosts: Names the server answers to; None for any.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str] | None) -> None:
        self.app = app
        self.hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward a request, or refuse it."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        refusal = self._refusal(scope["method"], Headers(scope=scope))
        app = self.app if refusal is None else refusal.response()
        return await app(scope, receive, with_headers)

    def _refusal(self, method: str, headers: Headers) -> RefusedError | None:
        host = host_name(headers.get("host", ""))
        if self.hosts is not None and host not in self.hosts:
            return RefusedError(
                FORBIDDEN,
                f"this server does not answer to the name {host!r}",
                "use the address that it printed, or start it with --allow-host and this name",
            )
        foreign = host_name(headers.get("origin", host).partition("//")[2] or host) != host
        if method == "POST" and (foreign or headers.get("sec-fetch-site") not in SAME_ORIGIN):
            return RefusedError(
                FORBIDDEN, "the request comes from another site's page", "use the server's own page"
            )
        return None


def host_name(host: str) -> str:
    """Return the name in a Host header, without port or brackets, in lower case."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def allowed_hosts(served: str, named: Collection[str]) -> frozenset[str] | None:
    """Return the host names a server answers to; None for any.

    Args:
        served: Address it serves on.
        named: Names given by the user, in addition to this machine's own.
    """
    if not named and served in EVERY_ADDRESS:
        return None
    return frozenset(name.lower() for name in (*LOOPBACK, served, *named))
