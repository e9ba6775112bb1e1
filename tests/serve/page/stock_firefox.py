"""Start Firefox, which Playwright drives by WebDriver BiDi: python stock_firefox.py FIREFOX ARGUMENTS.

Playwright 1.65 begins each context with a command that Firefox 153 does not have, and gives up when it is
refused; and it expects an id in the events of a download. So this program stands between the two: it answers
the command (colours and motion are then Firefox's own, not those that a test sets) and adds the id.
"""

import asyncio
import json
import re
import signal
import sys

from aiohttp import ClientSession, web

UNKNOWN = "emulation.setMediaFeaturesOverride"
DOWNLOADS = ("browsingContext.downloadWillBegin", "browsingContext.downloadEnd")
LISTENING = re.compile(rb"WebDriver BiDi listening on ws://([\d.:]+)")


async def main() -> int:
    """Run Firefox until it ends, and print the address of the relay in place of its own."""
    firefox = await asyncio.create_subprocess_exec(*sys.argv[1:], stderr=asyncio.subprocess.PIPE)
    for stop in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(stop, firefox.terminate)
    assert firefox.stderr is not None
    async for line in firefox.stderr:
        found = LISTENING.search(line)
        shown = line.replace(found[1], await relay(found[1].decode())) if found else line
        sys.stderr.buffer.write(shown)
        sys.stderr.flush()
    return await firefox.wait()


async def relay(address: str) -> bytes:
    """Relay WebSocket connections to an address, from the one that is returned."""

    async def connect(request: web.Request) -> web.WebSocketResponse:
        driver = web.WebSocketResponse(max_msg_size=0)
        await driver.prepare(request)
        url = f"ws://{address}{request.path_qs}"
        async with ClientSession() as session, session.ws_connect(url, max_msg_size=0) as firefox:

            async def answer() -> None:
                async for message in firefox:
                    event = json.loads(message.data)
                    if event.get("method") in DOWNLOADS:
                        event["params"]["download"] = event["params"]["url"]
                    await driver.send_json(event)
                await driver.close()

            answers = asyncio.create_task(answer())
            async for message in driver:
                command = json.loads(message.data)
                if command["method"] == UNKNOWN:
                    await driver.send_json({"type": "success", "id": command["id"], "result": {}})
                else:
                    await firefox.send_str(message.data)
            answers.cancel()
        return driver

    app = web.Application()
    app.router.add_get("/{path:.*}", connect)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0]
    return f"{host}:{port}".encode()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
