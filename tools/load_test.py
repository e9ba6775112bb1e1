"""Load one and two servers of `mlffm-segdiff serve` behind nginx, on this machine. Needs nginx and Linux.

python tools/load_test.py [--seconds 10] [--rounds 3] [--clients 8] [--weights default]

Starts two servers of one thread each and two proxies, one to the first server and one to both, in turns sends
images to each proxy, and prints requests per second, latencies, errors and the CPU time of a request. Then
it kills a server under load, starts it again, and prints what the clients saw.
"""

import argparse
import http.client
import io
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from mlffm_segdiff.data.synthetic import synthetic_case

CONFIGURATION = Path(__file__).parents[1] / "examples" / "workers" / "nginx.conf"
HOST = "127.0.0.1"
DISTINCT = 16
COLUMNS = ("servers", "requests", "errors", "masks/s", "median, s", "p95, s", "longest, s", "CPU ms", "CPUs")
"""The last two: CPU time of the servers per request, and CPUs that they used."""
MAX_SECONDS, MAX_CLIENTS, MAX_REQUESTS = 60, 32, 5000
PATIENCE = 120


@dataclass
class Load:
    """What clients saw: seconds of each answered request, how many had each status, and how long it took."""

    latencies: list[float] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    @property
    def errors(self) -> int:
        """Requests without a mask."""
        return sum(self.statuses.values()) - self.statuses["200"]

    @property
    def rate(self) -> float:
        """Masks per second."""
        return self.statuses["200"] / self.seconds

    def latency(self) -> str:
        """Median, 95th percentile and longest latency."""
        ordered = sorted(self.latencies)
        return (
            f"{statistics.median(ordered):.2f} | {ordered[int(0.95 * len(ordered))]:.2f} | {ordered[-1]:.2f}"
        )

    def __iadd__(self, other: "Load") -> "Load":
        """Add another load that came before or after this one."""
        self.latencies += other.latencies
        self.statuses += other.statuses
        self.seconds += other.seconds
        return self


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def wait_for(port: int, path: str = "/healthz") -> None:
    """Wait until a server answers."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        connection = http.client.HTTPConnection(HOST, port, timeout=5)
        with suppress(OSError, http.client.HTTPException), closing(connection):
            connection.request("GET", path)
            if connection.getresponse().status == 200:
                return
        time.sleep(0.2)
    raise SystemExit(f"nothing answers on port {port}")


def serve(port: int, weights: str) -> subprocess.Popen[bytes]:
    """Start a server of one thread, which is named by its port."""
    options = ["--port", str(port), "--worker", str(port), "--threads", "1", "--weights", weights, "--quiet"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-m", "mlffm_segdiff", "serve", *options], env=environment)


def proxy_text(port: int, servers: Sequence[int]) -> str:
    """The configuration of the example with other ports."""
    text = CONFIGURATION.read_text(encoding="utf-8").replace("127.0.0.1:8000", f"{HOST}:{port}")
    lines = [f"server {HOST}:{server} max_fails=3 fail_timeout=2s;" for server in servers]
    text = re.sub(r"(server 127\.0\.0\.1:800\d [^\n]+\n\s+)+", "\n        ".join(lines) + "\n    ", text)
    return text.replace("8001|8002", "|".join(map(str, servers)))


@contextmanager
def stopped(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """Stop a process at the end."""
    try:
        yield process
    finally:
        process.terminate()
        process.wait(PATIENCE)


def proxy(port: int, servers: Sequence[int], folder: Path) -> subprocess.Popen[bytes]:
    """Start nginx."""
    folder.mkdir(mode=0o755)
    folder.parent.chmod(0o755)  # nginx started by root works as another user
    (folder / "nginx.conf").write_text(proxy_text(port, servers), encoding="utf-8")
    command = ["nginx", "-p", str(folder), "-c", "nginx.conf", "-e", "stderr"]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL)  # a lost server is logged


def cpu_seconds(process: subprocess.Popen[bytes]) -> float:
    """CPU seconds that a process has used."""
    fields = Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def drive(port: int, images: Sequence[bytes], clients: int, seconds: float) -> Load:
    """Send images from a number of clients, each the next one when it has its mask."""
    load, lock = Load(), threading.Lock()
    start = time.monotonic()

    def client(number: int) -> None:
        connection = http.client.HTTPConnection(HOST, port, timeout=PATIENCE)
        while time.monotonic() - start < seconds and len(load.latencies) < MAX_REQUESTS:
            number += clients
            sent = time.monotonic()
            try:
                headers = {"Content-Type": "image/jpeg"}
                connection.request("POST", "/api/v1/segment", images[number % len(images)], headers)
                response = connection.getresponse()
                response.read()
                status = str(response.status)
            except (OSError, http.client.HTTPException) as error:
                status = type(error).__name__
                connection.close()
            with lock:
                load.statuses[status] += 1
                load.latencies.append(time.monotonic() - sent)
        connection.close()

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    load.seconds = time.monotonic() - start
    return load


def compare(
    ports: dict[int, int],
    servers: Sequence[subprocess.Popen[bytes]],
    images: Sequence[bytes],
    arguments: argparse.Namespace,
) -> None:
    """Print a table of one and of two servers, by the proxies' ports, loaded in turns."""
    loads, cpu = {count: Load() for count in ports}, dict.fromkeys(ports, 0.0)
    ratios = []
    for turn in range(arguments.rounds):
        rates = {}
        for count in sorted(ports, reverse=bool(turn % 2)):
            before = sum(map(cpu_seconds, servers))
            load = drive(ports[count], images, arguments.clients, arguments.seconds)
            cpu[count] += sum(map(cpu_seconds, servers)) - before
            rates[count] = load.rate
            loads[count] += load
        ratios.append(rates[2] / rates[1])
    print(f"| {' | '.join(COLUMNS)} |\n|{'--:|' * len(COLUMNS)}")
    for count, load in loads.items():
        each, used = 1e3 * cpu[count] / len(load.latencies), cpu[count] / load.seconds
        shown = f"{load.rate:.1f} | {load.latency()} | {each:.0f} | {used:.2f}"
        print(f"| {count} | {len(load.latencies)} | {load.errors} | {shown} |")
    print(f"\ntwo servers / one, in each round: {', '.join(f'{ratio:.2f}' for ratio in ratios)}")


def kill(
    port: int,
    server: subprocess.Popen[bytes],
    at: int,
    images: Sequence[bytes],
    arguments: argparse.Namespace,
) -> None:
    """Kill a server under load, start it again later, and print what the clients saw."""
    with ThreadPoolExecutor(1) as background:
        loading = background.submit(drive, port, images, arguments.clients, 3 * arguments.seconds)
        time.sleep(arguments.seconds)
        server.send_signal(signal.SIGKILL)
        server.wait()
        time.sleep(arguments.seconds)
        with stopped(serve(at, arguments.weights)) as again:
            wait_for(at)
            load = loading.result()
            after = drive(port, images, arguments.clients, arguments.seconds)
            used = cpu_seconds(again)
    print(f"\na server killed, then started again: {dict(load.statuses)}; {load.latency()} s")
    print(f"then with both: {dict(after.statuses)}; the new server used {used:.1f} CPU seconds")


def main() -> None:
    """Run the test."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--weights", default="default")
    arguments = parser.parse_args()
    if not shutil.which("nginx"):
        raise SystemExit("nginx is not installed; on Debian and Ubuntu: apt-get install nginx-light")
    if arguments.seconds > MAX_SECONDS or arguments.clients > MAX_CLIENTS:
        raise SystemExit(f"at most {MAX_SECONDS} seconds and {MAX_CLIENTS} clients")
    images = []
    for number in range(DISTINCT):
        stream = io.BytesIO()
        Image.fromarray(synthetic_case(number, 640, 480)[0]).save(stream, "JPEG", quality=95)
        images.append(stream.getvalue())
    first, second, to_one, to_both = (free_port() for _ in range(4))
    with TemporaryDirectory() as folder, ExitStack() as stack:
        servers = [stack.enter_context(stopped(serve(port, arguments.weights))) for port in (first, second)]
        for port in (first, second):
            wait_for(port)
        for port, behind in ((to_one, [first]), (to_both, [first, second])):
            stack.enter_context(stopped(proxy(port, behind, Path(folder, str(port)))))
            wait_for(port)
            drive(port, images, arguments.clients, 2)
        compare({1: to_one, 2: to_both}, servers, images, arguments)
        kill(to_both, servers[1], second, images, arguments)


if __name__ == "__main__":
    main()
