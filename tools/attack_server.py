"""Attack a server started for it, and measure what honest clients see.

python tools/attack_server.py [SECONDS [ATTACK ...]]

Each attack, by default all, lasts SECONDS (default 60) and comes from one address, honest requests from
another, by X-Forwarded-For as behind a proxy. The report has status counts of the attackers, the server's
memory, and latencies of honest requests in seconds. PYTHONPATH chooses the version of the package.
"""

import asyncio
import json
import re
import statistics
import struct
import subprocess
import sys
import time
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

QUEUE = 32
PATIENCE = 120
SEGMENT = "/api/v1/segment"
ATTACKER, HONEST = "203.0.113.1", "198.51.100.1"


class Client:
    """Requests to one server, each on its own connection."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self.host, self.port = address.hostname or "", address.port or 0
        self.image = b""
        self.lost: Counter[str] = Counter()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(self.host, self.port, limit=2**26)

    def head(self, path: str, length: int, method: str = "POST", address: str = ATTACKER) -> bytes:
        forwarded = f"X-Forwarded-For: {address}"
        lines = (f"{method} {path} HTTP/1.1", f"Host: {self.host}", forwarded, "Connection: close")
        body = (f"Content-Length: {length}", "Content-Type: image/png")
        return "\r\n".join((*lines, *body, "", "")).encode()

    async def request(
        self, path: str, body: bytes = b"", method: str = "POST", address: str = ATTACKER
    ) -> tuple[int, int, bytes]:
        """Return status, Retry-After and content; status 0 without a response."""
        try:
            async with asyncio.timeout(PATIENCE):
                reader, writer = await self.connect()
                writer.write(self.head(path, len(body), method, address) + body)
                answer = await reader.read(-1)
                writer.close()
        except (OSError, TimeoutError) as error:
            self.lost[type(error).__name__] += 1
            return 0, 1, b""
        found = re.match(rb"HTTP/1.1 (\d+)", answer)
        retry = re.search(rb"(?i)\r\nretry-after: (\d+)", answer)
        return int(found[1]) if found else 0, int(retry[1]) if retry else 1, answer.partition(b"\r\n\r\n")[2]

    async def honest(self) -> tuple[float, float]:
        """Segment an image, sent again as Retry-After says; return seconds in all and of the last try."""
        start = time.perf_counter()
        while True:
            last = time.perf_counter()
            status, retry, _ = await self.request(SEGMENT, self.image, address=HONEST)
            now = time.perf_counter()
            if status == 200 or now - start > PATIENCE:
                return now - start, now - last
            await asyncio.sleep(retry)


Attack = Callable[[Client, float, Counter[str]], Awaitable[None]]


async def overload(client: Client, end: float, seen: Counter[str]) -> None:
    """Ten times as many clients as the queue is long, which do not wait as they should."""

    async def attack() -> None:
        while time.perf_counter() < end:
            status, _, _ = await client.request(SEGMENT, client.image)
            seen[str(status)] += 1
            await asyncio.sleep(0.5 if status != 200 else 0)

    await asyncio.gather(*(attack() for _ in range(10 * QUEUE)))


async def stalled_uploads(client: Client, end: float, seen: Counter[str]) -> None:
    """64 uploads of one byte, repeated when they are closed."""
    await _hold(client, end, seen, 64, client.head(SEGMENT, 1000) + b"x")


async def half_headers(client: Client, end: float, seen: Counter[str]) -> None:
    """400 requests without the end of their headers."""
    await _hold(client, end, seen, 400, client.head(SEGMENT, 1000)[:-4])


async def held_memory(client: Client, end: float, seen: Counter[str]) -> None:
    """16 uploads of 60 MiB each, all but the last byte."""
    size = 60 * 2**20
    await _hold(client, end, seen, 16, client.head(SEGMENT, size) + bytes(size - 1))


async def _hold(client: Client, end: float, seen: Counter[str], count: int, sent: bytes) -> None:
    async def attack() -> None:
        while (left := end - time.perf_counter()) > 0:
            with suppress(OSError):
                reader, writer = await client.connect()
                writer.write(sent)
                try:
                    answer = await asyncio.wait_for(reader.read(12), left)
                    seen[f"closed {answer[9:].decode()}"] += 1
                except TimeoutError:
                    seen["open to the end"] += 1
                writer.close()
            await asyncio.sleep(0.5)

    await asyncio.gather(*(attack() for _ in range(count)))


async def abandoned(client: Client, _: float, seen: Counter[str]) -> None:
    """60 requests with 20 steps and 4 samples whose client leaves after half a second."""

    async def attack() -> None:
        reader, writer = await client.connect()
        path = f"{SEGMENT}?sampling.steps=20&sampling.samples=4"
        writer.write(client.head(path, len(client.image)) + client.image)
        with suppress(TimeoutError):
            answer = await asyncio.wait_for(reader.read(12), 0.5)
            seen[answer[9:].decode()] += 1
        writer.close()

    await asyncio.gather(*(attack() for _ in range(60)))


async def unread_responses(client: Client, end: float, seen: Counter[str]) -> None:
    """32 clients that request large responses and do not read them."""
    path = f"{SEGMENT}?sampling.steps=1&sampling.samples=32&maps=true"

    async def attack() -> None:
        while time.perf_counter() < end:
            with suppress(OSError):
                _, writer = await client.connect()
                writer.transport.pause_reading()  # type: ignore[attr-defined]
                writer.write(client.head(path, len(client.image)) + client.image)
                seen["sent"] += 1
                await asyncio.sleep(max(0, min(20, end - time.perf_counter())))
                writer.close()

    await asyncio.gather(*(attack() for _ in range(QUEUE)))


async def bombs(client: Client, end: float, seen: Counter[str]) -> None:
    """Four clients with PNG files of 24 kB: 200 megapixels each, then 49."""
    files = [one_bit_png(side) for side in (14142, 7000)]

    async def attack() -> None:
        while time.perf_counter() < end:
            for file in files:
                status, _, _ = await client.request(SEGMENT, file)
                seen[str(status)] += 1
                await asyncio.sleep(0.2)

    await asyncio.gather(*(attack() for _ in range(4)))


def one_bit_png(side: int) -> bytes:
    """Return a black image of one bit per pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes(((side + 7) // 8 + 1) * side), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


ATTACKS: tuple[Attack, ...] = (
    overload,
    stalled_uploads,
    half_headers,
    held_memory,
    abandoned,
    unread_responses,
    bombs,
)


def shown(honest: Sequence[tuple[float, float]]) -> str:
    """Return the number of honest requests, and median and longest time, in all and of the last try."""
    whole, last = (
        f"{statistics.median(one):.2f} (at most {max(one):.2f})" for one in zip(*honest, strict=True)
    )
    return f"{len(honest)} requests in {whole}, without retries {last}"


def memory_mib(pid: int) -> tuple[int, int]:
    """Return the resident memory of a process now, and its largest."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    now, most = (re.search(rf"{key}:\s+(\d+)", text) for key in ("VmRSS", "VmHWM"))
    return (int(now[1]) if now else 0) // 1024, (int(most[1]) if most else 0) // 1024


@asynccontextmanager
async def server() -> AsyncIterator[tuple[Client, int]]:
    """Start a server of the package on a free port; yields a client and the process's id."""
    command = [sys.executable, "-m", "mlffm_segdiff", "serve", "--port", "0", "--json"]
    command += ["--trust-proxy", "127.0.0.1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="utf-8")
    try:
        assert process.stdout is not None
        lines = "".join(iter(process.stdout.readline, "}\n"))
        client = Client(json.loads(f"{lines}}}")["url"])
        _, _, about = await client.request("/api/v1/about", method="GET")
        _, _, client.image = await client.request(
            f"/samples/{json.loads(about)['sample_images'][0]}", method="GET"
        )
        yield client, process.pid
    finally:
        process.terminate()
        process.wait()


async def main(seconds: float, names: list[str]) -> None:
    """Run the attacks, each on a server of its own."""
    for attack in ATTACKS:
        if names and attack.__name__ not in names:
            continue
        async with server() as (client, pid):
            idle = [await client.honest() for _ in range(20)]
            seen: Counter[str] = Counter()
            end = time.perf_counter() + seconds
            attacking = asyncio.ensure_future(attack(client, end, seen))
            await asyncio.sleep(1)
            found = []
            while time.perf_counter() < end:
                found.append(await client.honest())
                await asyncio.sleep(0.5)
            await attacking
            now, most = memory_mib(pid)
            print(f"{attack.__name__}: {dict(seen)}; lost: {dict(client.lost) or 0}")
            print(f"  memory: {now} MiB, at most {most} MiB")
            print(f"  idle: {shown(idle)}")
            print(f"  attacked: {shown(found)}", flush=True)


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else 60, sys.argv[2:]))
