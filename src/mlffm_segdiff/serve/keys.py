"""API keys: who may use the REST API."""

import hmac
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from starlette.datastructures import Headers

from mlffm_segdiff.config.errors import UserError, reason_of
from mlffm_segdiff.serve.problem import UNAUTHORIZED, RefusedError

SHORTEST = 16
PROTECTED = ("/api/", "/metrics")
"""Paths that need a key; the page itself, its samples, health and openapi.json do not."""


class ApiKeys:
    """The accepted keys, in a request's ``Authorization: Bearer`` or ``X-API-Key`` header."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._digests = [sha256(key.encode()).digest() for key in keys]

    def refusal(self, path: str, headers: Headers) -> RefusedError | None:
        """Return the refusal of a request without an accepted key, or None."""
        if not path.startswith(PROTECTED) or self._accepts(_given_key(headers)):
            return None
        return RefusedError(
            UNAUTHORIZED,
            "the request has no accepted API key",
            "send one as Authorization: Bearer KEY or as X-API-Key: KEY",
            headers={"WWW-Authenticate": "Bearer"},
        )

    def owner(self, headers: Headers) -> str:
        """Return the digest of a request's key, which says whose a job is."""
        return sha256(_given_key(headers).encode()).hexdigest()

    def _accepts(self, key: str) -> bool:
        """Compare with all keys, each in constant time."""
        digest = sha256(key.encode()).digest()
        return any(hmac.compare_digest(digest, one) for one in self._digests)


def _given_key(headers: Headers) -> str:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "").strip()


def read_keys(path: Path) -> ApiKeys:
    """Read a file of API keys, one per line.

    Raises:
        UserError: The file cannot be read, has no key, or has one that is short or cannot be a header.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"the API keys in {path} cannot be read ({reason_of(error)}); see --api-key-file"
        ) from error
    keys = {number: line.strip() for number, line in enumerate(lines, 1) if line.strip()}
    for number, key in keys.items():
        if len(key) < SHORTEST or not (key.isascii() and key.isprintable()) or " " in key:
            raise UserError(
                f"{path} line {number} is not an API key; give at least {SHORTEST} ASCII characters without "
                "spaces, for example from: openssl rand -hex 16"
            )
    if not keys:
        raise UserError(f"{path} has no API key; write one per line")
    return ApiKeys(keys.values())
