"""Protection from other sites: headers on every response, and requests refused by their origin."""

from collections.abc import Collection
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.serve.keys import ApiKeys
from mlffm_segdiff.serve.problem import BAD_REQUEST, FORBIDDEN, RefusedError

LOOPBACK = ("localhost", "127.0.0.1", "::1")
EVERY_ADDRESS = ("0.0.0.0", "::", "")
SAME_ORIGIN = ("same-origin", "none")
DEFAULT_PORTS = (":80", ":443")

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
ALL_HEADERS = [
    (name.lower().encode(), value.encode())
    for name, value in {**HEADERS, "Cache-Control": "no-store"}.items()
]
"""Those of a response that does not pass the guard."""
JSON = "application/json"
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


class Guard:
    """Middleware that sets `HEADERS`, and refuses requests by their headers alone.

    A page of another site can point its own host name at 127.0.0.1 (DNS rebinding) and read responses, unless
    the name is checked. Starlette's TrustedHostMiddleware checks it too, but answers 400 in plain text, which
    cannot be configured; refusals here are a JSON `Problem` like all others, and so are errors that Starlette
    sends as plain text. Requests that change something must come from the server's own page or from outside
    a browser.

    Args:
        app: The application.
        hosts: Names the server answers to; None for any.
        keys: Who may use the REST API; None for everyone.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str] | None, keys: ApiKeys | None = None) -> None:
        self.app = app
        self.hosts = hosts
        self.keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward a request, or refuse it."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        replaced = False

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        async def with_problem(message: Message) -> None:
            nonlocal replaced
            if message["type"] == "http.response.start":
                headers = Headers(raw=message["headers"])
                replaced = message["status"] >= BAD_REQUEST and headers.get("content-type") != JSON
                if replaced:
                    return await _problem(message["status"], headers)(scope, receive, with_headers)
            if not replaced:
                await with_headers(message)
            return None

        refusal = self._refusal(scope, Headers(scope=scope))
        app = self.app if refusal is None else refusal.response()
        return await app(scope, receive, with_problem)

    def _refusal(self, scope: Scope, headers: Headers) -> RefusedError | None:
        host = host_name(headers.get("host", ""))
        if self.hosts is not None and host not in self.hosts:
            return RefusedError(
                FORBIDDEN,
                f"this server does not answer to the name {host!r}",
                "use the address that it printed, or start it with --allow-host and this name",
            )
        if scope["method"] not in SAFE_METHODS and _is_foreign(headers):
            return RefusedError(
                FORBIDDEN, "the request comes from another site's page", "use the server's own page"
            )
        if "content-length" in headers and "transfer-encoding" in headers:  # RFC 9112, 6.1: smuggling
            return RefusedError(
                BAD_REQUEST,
                "the request has both Content-Length and Transfer-Encoding",
                "send only one of them",
                headers={"Connection": "close"},
            )
        return self.keys.refusal(scope["path"], headers) if self.keys else None


def _is_foreign(headers: Headers) -> bool:
    """Return whether a page of another origin sent a request, by Sec-Fetch-Site, otherwise by Origin."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None and site not in SAME_ORIGIN:
        return True
    if origin is None:
        return False
    host, source = headers.get("host", ""), origin.partition("//")[2]
    if site is not None:  # a proxy may have changed the port
        return host_name(source) != host_name(host)
    return _without_default_port(source) != _without_default_port(host)


def _without_default_port(host: str) -> str:
    for port in DEFAULT_PORTS:
        host = host.removesuffix(port)
    return host.lower()


def _problem(status: int, headers: Headers) -> JSONResponse:
    """Return the problem in place of an error in plain text."""
    kept = {name: headers[name] for name in ("allow", "content-range") if name in headers}
    detail = HTTPStatus(status).phrase.lower() if status in set(HTTPStatus) else "the request was refused"
    return RefusedError(status, detail, "see openapi.json for the routes", headers=kept).response()


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

    Raises:
        UserError: One of them could never match.
    """
    if not named and served in EVERY_ADDRESS:
        return None
    return frozenset((*LOOPBACK, served.lower(), *map(_allowed_name, named)))


def _allowed_name(given: str) -> str:
    """Return a name without port or brackets. Raises UserError if it could never match."""
    is_ipv6 = given.count(":") > 1 and not given.startswith("[")
    name = given.lower() if is_ipv6 else host_name(given)
    if not name or not {"/", "*"}.isdisjoint(given):
        raise UserError(f"--allow-host {given!r} is not a host name; give one such as segment.example.org")
    return name
