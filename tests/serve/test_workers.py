"""Several servers behind one address: whose a batch job is, and what the proxy of the example does."""

import re
import runpy
import shutil
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import numpy.typing as npt
import pytest
from fastapi.testclient import TestClient
from waiting import wait_until

from mlffm_segdiff.config.errors import UserError

ROOT = Path(__file__).parents[2]
TOOL = runpy.run_path(str(ROOT / "tools" / "load_test.py"))
URL = "/api/v1/batches"
PATIENCE = 60
get, post, delete = (partial(send, timeout=PATIENCE) for send in (httpx2.get, httpx2.post, httpx2.delete))
Image = npt.NDArray[np.uint8]


def test_the_id_of_a_job_starts_with_the_name_of_its_server(
    serve: Callable[..., TestClient], square: Image, png: Callable[..., bytes]
) -> None:
    form = [("image", ("a.png", png(square)))]
    named, alone = (serve(**given).post(URL, files=form).json() for given in ({"worker": "8001"}, {}))
    assert re.fullmatch(r"8001-[\w-]{22}", named["id"])
    assert re.fullmatch(r"[\w-]{22}", alone["id"])
    assert named["url"] == f"{URL}/{named['id']}"


@pytest.mark.parametrize("name", ["a-b", "A", "a/b", "x" * 33, "ä"])
def test_a_name_that_a_proxy_could_not_find_in_an_id_is_refused(
    make_app: Callable[..., object], name: str
) -> None:
    with pytest.raises(UserError, match="give at most 32 lowercase letters and digits"):
        make_app(worker=name)


def test_the_ports_of_the_example_are_replaced() -> None:
    text = TOOL["proxy_text"](9000, [9001, 9003, 9005])
    assert "listen 127.0.0.1:9000;" in text
    assert re.findall(r"^\s+server 127\.0\.0\.1:(\d+) max_fails", text, re.MULTILINE) == [
        "9001",
        "9003",
        "9005",
    ]
    assert "(?<port>9001|9003|9005)-" in text
    assert not re.search(r"\b800\d\b", re.sub("#.*", "", text))


@pytest.fixture
def proxied(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Start nginx with the example's configuration before some servers; returns its address."""
    if not shutil.which("nginx"):
        pytest.skip("nginx is not installed")
    with ExitStack() as stack:

        def start(servers: list[Any]) -> str:
            port, folder = TOOL["free_port"](), tmp_path / f"nginx{len(servers)}"
            ports = [server.address[1] for server in servers]
            stack.enter_context(TOOL["stopped"](TOOL["proxy"](port, ports, folder)))
            TOOL["wait_for"](port)
            return f"http://127.0.0.1:{port}"

        yield start


@pytest.fixture
def behind(start_live: Callable[..., Any], proxied: Callable[..., str]) -> tuple[str, list[Any]]:
    """Two servers behind nginx: the proxy's address, and both servers."""
    ports = [TOOL["free_port"]() for _ in range(2)]
    servers = [start_live(port=port, worker=str(port)) for port in ports]
    return proxied(servers), servers


def test_all_requests_of_a_job_reach_its_server(
    behind: tuple[str, list[Any]], square: Image, png: Callable[..., bytes]
) -> None:
    address, servers = behind
    form = [("image", (f"{n}.png", png(np.roll(square, n, 1)))) for n in range(2)]
    found = set()
    for _ in range(6):  # in turns, as both are idle
        job = post(address + URL, files=form).json()
        found.add(job["id"].partition("-")[0])
        events = get(f"{address}{job['url']}/events").text
        assert events.count("event: image") == 2
        assert [get(address + job["url"]).json()["state"] for _ in range(4)] == ["done"] * 4
        assert get(f"{address}{job['url']}/zip").status_code == 200
        assert delete(address + job["url"]).status_code == 204
    assert found == {str(server.address[1]) for server in servers}


def test_a_lost_server_is_replaced_by_the_other_and_its_jobs_are_gone(
    behind: tuple[str, list[Any]], square: Image, png: Callable[..., bytes]
) -> None:
    address, (first, second) = behind
    jobs = [post(address + URL, files=[("image", ("a.png", png(square)))]).json() for _ in range(4)]
    first.stop()
    masks = [post(f"{address}/api/v1/segment", files={"image": png(square)}) for _ in range(8)]
    assert [mask.status_code for mask in masks] == [200] * 8
    statuses = {job["id"].partition("-")[0]: get(address + job["url"]).status_code for job in jobs}
    assert statuses == {str(first.address[1]): 502, str(second.address[1]): 200}


@pytest.mark.parametrize("count", [1, 2])
def test_each_server_works_on_one_image_at_once(
    start_live: Callable[..., Any],
    proxied: Callable[..., str],
    red: Any,
    square: Image,
    png: Callable[..., bytes],
    count: int,
) -> None:
    """The network is held in its call, so the calls that have begun are those that run at the same time."""
    red.gate.clear()
    servers = [start_live(batch=1) for _ in range(count)]
    address = proxied(servers)
    with ThreadPoolExecutor(6) as clients:
        send = partial(post, f"{address}/api/v1/segment")
        sent = [clients.submit(send, files={"image": png(np.roll(square, n, 1))}) for n in range(6)]
        wait_until(lambda: sum(one.metric("segdiff_queue_length") for one in servers) == 6 - count)
        wait_until(lambda: len(red.calls) >= count)
        assert len(red.calls) == count
        red.gate.set()
        assert [one.result().status_code for one in sent] == [200] * 6


def test_what_a_full_server_refuses_the_other_one_does(
    start_live: Callable[..., Any],
    proxied: Callable[..., str],
    red: Any,
    square: Image,
    png: Callable[..., bytes],
) -> None:
    """Four requests are held in the network; each server gets two, of which one has room for one only."""
    servers = [start_live(queue=1), start_live(queue=3)]
    address = proxied(servers)
    red.gate.clear()
    with ThreadPoolExecutor(4) as clients:
        send = partial(post, f"{address}/api/v1/segment")
        sent = [clients.submit(send, files={"image": png(square)}) for _ in range(4)]
        wait_until(lambda: [one.metric("segdiff_requests_in_flight") for one in servers] == [1, 3])
        assert not any(one.done() for one in sent)
        red.gate.set()
        assert [one.result().status_code for one in sent] == [200] * 4


def test_metrics_are_those_of_each_server(behind: tuple[str, list[Any]]) -> None:
    address, servers = behind
    assert get(f"{address}/metrics").status_code == 404
    for server in servers:
        assert "segdiff_queue_length" in get(f"{server.url}metrics").text


def test_the_example_is_accepted_by_nginx(tmp_path: Path) -> None:
    if not shutil.which("nginx"):
        pytest.skip("nginx is not installed")
    command = ["nginx", "-t", "-p", str(tmp_path), "-c", str(ROOT / "examples" / "workers" / "nginx.conf")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
