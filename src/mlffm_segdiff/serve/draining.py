"""Early responses that reach their clients."""

import asyncio
from contextlib import suppress

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

DRAIN_SECONDS = 10.0
"""Longest wait for the next piece of the body."""
DRAIN_BYTES = 64 * 2**20


class Drain:
    """Middleware that receives and discards the rest of a body before an early response, such as a refusal.

    A connection that is closed with unread data is reset, and its client may lose the response (RFC 9112,
    9.6). Time and bytes are limited.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward a request."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        more = "expect" not in Headers(scope=scope)  # otherwise the client waits and has sent nothing

        async def watch() -> Message:
            nonlocal more
            message = await receive()
            more = message["type"] == "http.request" and message.get("more_body", False)
            return message

        async def send_after_body(message: Message) -> None:
            if message["type"] == "http.response.start" and more:
                left = DRAIN_BYTES
                with suppress(TimeoutError):
                    while more and left > 0:
                        async with asyncio.timeout(DRAIN_SECONDS):
                            left -= len((await watch()).get("body", b""))
            await send(message)

        return await self.app(scope, watch, send_after_body)
