import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
from waiting import wait_until

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.serve.run import Transport, listening_socket, url


def test_a_free_port_is_used_on_this_machine_only() -> None:
    with listening_socket("127.0.0.1", 0) as listening:
        host, port = listening.getsockname()
        assert (host, url(listening)) == ("127.0.0.1", f"http://127.0.0.1:{port}/")
        socket.create_connection((host, port)).close()


def test_an_address_that_cannot_be_served_is_named() -> None:
    with listening_socket("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        with pytest.raises(UserError, match=rf"127\.0\.0\.1 port {port} .*--port"):
            listening_socket("127.0.0.1", port)
    with pytest.raises(UserError, match="no-such-host"):
        listening_socket("no-such-host.invalid", 0)


def test_a_proxy_that_could_never_match_is_refused() -> None:
    proxies = ("*", "10.0.0.7", "10.0.0.0/8", "::1", "fd00::/8")
    assert Transport(proxies=proxies).proxies == proxies
    for wrong in ("localhost", "10.0.0.256", "10.0.0.1/8", "10.0.0.7:80", ""):
        with pytest.raises(UserError, match=f"--trust-proxy '{wrong}' is not an IP address"):
            Transport(proxies=(wrong,))


def is_taken(address: tuple[str, int]) -> bool:
    """Return whether a server takes connections at this address."""
    try:
        socket.create_connection(address).close()
    except ConnectionError:  # refused, or reset while the server closes its socket
        return False
    return True


def test_stopping_waits_for_running_requests(live, red, form: Callable[..., dict[str, object]]) -> None:
    red.gate.clear()
    with ThreadPoolExecutor(2) as threads:
        started = threads.submit(httpx2.post, f"{live.url}api/v1/segment", timeout=60, **form())
        assert red.started.wait(60)
        ended = threads.submit(live.stop)
        wait_until(lambda: not is_taken(live.address))
        assert not ended.done()
        red.gate.set()
        ended.result()
        assert started.result().status_code == 200
