import re
from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.serve.guard import allowed_hosts, host_name

Serve = Callable[..., TestClient]


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("localhost:8000", "localhost"),
        ("LOCALHOST", "localhost"),
        ("[::1]:80", "::1"),
        ("10.0.0.1", "10.0.0.1"),
        ("", ""),
    ],
)
def test_the_name_in_a_host_header(header: str, name: str) -> None:
    assert host_name(header) == name


def test_only_this_machine_is_answered_unless_other_hosts_are_served() -> None:
    own = {"localhost", "127.0.0.1", "::1"}
    assert allowed_hosts("127.0.0.1", ()) == own
    assert allowed_hosts("0.0.0.0", ()) is None
    assert allowed_hosts("192.168.1.5", ()) == {*own, "192.168.1.5"}
    assert allowed_hosts("0.0.0.0", ["Lab.example"]) == {*own, "0.0.0.0", "lab.example"}


@pytest.mark.parametrize(
    ("given", "name"), [("Host:8443", "host"), ("[FE80::1]:80", "fe80::1"), ("FE80::1", "fe80::1")]
)
def test_an_allowed_host_is_its_name_only(given: str, name: str) -> None:
    assert allowed_hosts("127.0.0.1", [given]) == {"localhost", "127.0.0.1", "::1", name}


@pytest.mark.parametrize("given", ["https://x.example", "x.example/segdiff", "*", "*.example", "", ":8443"])
def test_an_allowed_host_that_could_never_match_is_refused(given: str) -> None:
    with pytest.raises(UserError, match=f"--allow-host '{re.escape(given)}' is not a host name"):
        allowed_hosts("127.0.0.1", [given])


def test_a_name_that_others_point_here_is_refused(serve: Serve) -> None:
    client = serve(hosts=["localhost"])
    assert client.get("/healthz", headers={"Host": "localhost:8000"}).status_code == 200
    answer = client.get("/healthz", headers={"Host": "evil.example"})
    assert (answer.status_code, answer.json()["problem"]) == (403, "other-site")
    assert "evil.example" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("site", "status"), [("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)]
)
def test_pages_of_other_sites_are_refused(
    serve: Serve, form: Callable[..., dict[str, object]], site: str, status: int
) -> None:
    client = serve()
    answer = client.post("/api/v1/segment", headers={"Sec-Fetch-Site": site}, **form())
    assert answer.status_code == status
    assert client.get("/", headers={"Sec-Fetch-Site": site}).status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://testserver:8081"}, 403),
        ({"Origin": "http://testserver:80"}, 200),
        ({"Origin": "https://testserver"}, 200),  # TLS ends at the proxy
        ({"Origin": "http://TestServer"}, 200),
        ({"Origin": "http://testserver:8000", "Host": "testserver:8000"}, 200),
        ({"Origin": "http://testserver", "Host": "testserver:8000"}, 403),
        ({"Origin": "http://testserver:9", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": "null", "Sec-Fetch-Site": "same-origin"}, 403),
        ({"Origin": "http://testserver", "Sec-Fetch-Site": "cross-site"}, 403),
        ({}, 200),
    ],
)
def test_a_page_of_another_origin_is_refused(
    serve: Serve, form: Callable[..., dict[str, object]], headers: dict[str, str], status: int
) -> None:
    assert serve().post("/api/v1/segment", headers=headers, **form()).status_code == status
