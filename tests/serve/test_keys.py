import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest
from fastapi.testclient import TestClient
from starlette.datastructures import Headers

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.serve import run
from mlffm_segdiff.serve.keys import ApiKeys, read_keys
from mlffm_segdiff.serve.run import Transport

FIRST, SECOND = "0123456789abcdef", "fedcba9876543210-second"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"X-API-Key": ""}, 401),
        ({"X-API-Key": FIRST[:-1]}, 401),
        ({"X-API-Key": "é"}, 401),
        ({"Authorization": f"Basic {FIRST}"}, 401),
        ({"Authorization": "Bearer"}, 401),
        ({"X-API-Key": FIRST}, 200),
        ({"X-API-Key": SECOND}, 200),
        ({"Authorization": f"Bearer {FIRST}"}, 200),
        ({"Authorization": f"bearer {SECOND}"}, 200),
    ],
)
def test_the_api_needs_a_key(
    serve: Callable[..., TestClient],
    form: Callable[..., dict[str, object]],
    headers: dict[str, str],
    status: int,
) -> None:
    client = serve(keys=ApiKeys([FIRST, SECOND]))
    sent = {name: value.encode("latin-1") for name, value in headers.items()}
    answers = [
        client.post("/api/v1/segment", headers=sent, **form()),
        client.get("/api/v1/about", headers=sent),
        client.get("/metrics", headers=sent),
    ]
    assert [answer.status_code for answer in answers] == [status] * 3
    for answer in answers:
        assert ("www-authenticate" in answer.headers) == (status == 401)
    if status == 401:
        assert answers[0].json()["problem"] == "no-api-key"


def test_page_and_health_need_no_key(serve: Callable[..., TestClient]) -> None:
    client = serve(keys=ApiKeys([FIRST]))
    for path in ("/", "/main.js", "/healthz", "/openapi.json", "/samples/nothing.png"):
        assert client.get(path).status_code in (200, 404)


def test_keys_come_from_a_file_one_per_line(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(f"{FIRST}\r\n\n  {SECOND}  \n")
    keys = read_keys(path)
    for key, accepted in ((FIRST, True), (SECOND, True), (f"{FIRST}\n{SECOND}", False)):
        assert (keys.refusal("/metrics", Headers({"X-API-Key": key.replace("\n", " ")})) is None) == accepted


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no API key"),
        (b"\n \n", "no API key"),
        (FIRST.encode() + b"\nshort\n", "line 2"),
        ("0123456789abcdéf".encode(), "line 1"),
        (b"0123456789 abcdef", "line 1"),
        (b"\xff\xfe" * 20, "cannot be read"),
    ],
)
def test_a_wrong_file_of_keys_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "keys"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message) as error:
        read_keys(path)
    assert str(path) in str(error.value)
    with pytest.raises(UserError, match="cannot be read"):
        read_keys(tmp_path / "missing")


def test_a_certificate_is_used_for_https(
    start_live: Callable[..., object], certificate: tuple[Path, Path]
) -> None:
    live = start_live(Transport(*certificate))
    assert live.url.startswith("https://127.0.0.1:")
    found = httpx2.get(f"{live.url}healthz", verify=False)
    assert found.json() == {"status": "ok"}


def test_a_connection_without_a_handshake_is_closed(
    start_live: Callable[..., object], certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "HANDSHAKE_SECONDS", 0.2)
    live = start_live(Transport(*certificate))
    with live.connect(b"") as connection:
        connection.settimeout(30)  # the default of asyncio is 60
        assert connection.recv(1) == b""


def test_a_certificate_that_cannot_be_used_is_named(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    with pytest.raises(UserError, match=r"cert\.pem cannot be used"):
        Transport(cert)
    with pytest.raises(UserError, match="missing"):
        Transport(tmp_path / "missing", key)
    with pytest.raises(UserError, match="--tls-cert"):
        Transport(key=key)


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """PEM files of a certificate that was signed by its own key, and of the key."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here: TLS was not tested")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"]
    subprocess.run([*command, "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key
