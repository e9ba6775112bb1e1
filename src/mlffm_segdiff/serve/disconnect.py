"""Work that stops when its client disconnects."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from fastapi import Request, Response

from mlffm_segdiff.serve.problem import CLIENT_CLOSED


async def while_connected(request: Request, work: Coroutine[Any, Any, Response]) -> Response:
    """Return the response of some work, or cancel it when the client disconnects.

    Args:
        request: Request whose body was read, so that the next message can only be the end of its connection.
        work: Coroutine that makes the response.
    """
    working = asyncio.create_task(work)
    leaving = asyncio.create_task(_disconnect(request))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else Response(status_code=CLIENT_CLOSED)
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
