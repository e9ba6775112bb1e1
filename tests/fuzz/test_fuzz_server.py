"""Damaged requests to the server, through its ASGI interface, in this process."""

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import unquote

import pytest
from fuzz.campaign import Reader
from fuzz.drawn import dicom_files, encoded, image_files, mask, photo
from fuzz.mutators import HOSTILE_TEXTS, damage_bytes
from fuzz.predicting import red_model
from fuzz.sizes import sizes

from mlffm_segdiff.segmenters.recipe import load_recipe
from mlffm_segdiff.segmenters.sampling import chosen_sampling
from mlffm_segdiff.serve.app import create_app

HEADER = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\x00\r\n]*")
END = b"\r\n\r\n"
BOUNDARY = b"cut-here"
CHARSETS = (b"utf-8", b"unicode_escape", b"utf-7", b"undefined", b"\xff")
VALUES = {
    "threshold": ("0.5", "0", "nan", "1e-300"),
    "sampling.samples": ("0", "2", "33", "-1"),
    "sampling.steps": ("2", "51", "two"),
    "sampling.style": ("any", "ph2"),
    "mm_per_pixel": ("0.1", "inf", "-1"),
    "format": ("png", "json", "dicom", "exe"),
    "largest": ("true", "maybe"),
    "preview": ("1",),
    "maps": ("1",),
    "name": HOSTILE_TEXTS,
}


class Requests(Reader):
    """HTTP requests, written as they are on the wire."""

    name = "server"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.loop = asyncio.new_event_loop()
        app = create_app(red_model(), partial(chosen_sampling, load_recipe("synthetic")))
        self.app, self.lifespan = app, app.router.lifespan_context(app)
        self.loop.run_until_complete(self.lifespan.__aenter__())
        self.seeds = requests()

    def close(self) -> None:
        """Stop the server's threads."""
        self.loop.run_until_complete(self.lifespan.__aexit__(None, None, None))
        self.loop.close()

    def damage(self, rng: Random, data: bytes, other: bytes) -> bytes:
        """Damage head, body or options."""
        head, _, body = data.partition(END)
        how = rng.random()
        if how < 0.3:
            head = damage_bytes(rng, head, other.partition(END)[0])
        elif how < 0.6:
            key = rng.choice(tuple(VALUES))
            option = f"?{key}={rng.choice(VALUES[key])}".encode().replace(b" ", b"%20").replace(b"\n", b"%0A")
            head = head.replace(b" HTTP", option + b" HTTP", 1)
        elif how < 0.7:
            head = head.replace(b"form-data;", b"form-data; charset=%b;" % rng.choice(CHARSETS), 1)
        if how > 0.5:
            body = damage_bytes(rng, body, other.partition(END)[2])
        return head + END + body

    def read(self, path: Path) -> bool:
        """Return whether the answer is not a refusal; a refusal is a JSON document that says what to do."""
        status, headers, body = self.loop.run_until_complete(self._answer(path.read_bytes()))
        assert status < 500 or status == 503, f"status {status}"
        if status >= 400 and body:
            assert headers[b"content-type"].startswith(b"application/"), f"status {status} is not JSON"
            assert {"problem", "detail", "hint"} <= json.loads(body).keys(), (
                f"status {status} is not a problem document"
            )
        return status < 400

    async def _answer(self, data: bytes) -> tuple[int, dict[bytes, bytes], bytes]:
        scope, body = _parsed(data)
        waiting = [
            {"type": "http.request", "body": part, "more_body": more} for part, more in _pieces(scope, body)
        ]
        complete = not waiting[-1]["more_body"]
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            if not (waiting or complete):  # the client leaves
                return {"type": "http.disconnect"}
            if not waiting:
                await asyncio.Event().wait()  # the client waits for the answer
            return waiting.pop(0)

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        assert sent, "no answer"
        assert sent[0]["type"] == "http.response.start", "no answer"
        return sent[0]["status"], dict(sent[0]["headers"]), b"".join(one.get("body", b"") for one in sent[1:])


def _parsed(data: bytes) -> tuple[dict[str, Any], bytes]:
    """Return the scope and body of a request, without the header lines that every web server refuses."""
    head, _, body = data.partition(END)
    first, *lines = head.split(b"\r\n")
    method, target = ([*first.split(b" "), b"/", b"/"])[:2]
    path, _, query = (target if target.startswith(b"/") else b"/" + target).partition(b"?")
    pairs = [line.partition(b":")[::2] for line in lines if HEADER.fullmatch(line)]
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method.decode("latin-1").upper() or "GET",
        "scheme": "http",
        "path": unquote(path.decode("latin-1")),
        "raw_path": path,
        "query_string": query,
        "root_path": "",
        "headers": [(key.lower(), value.strip()) for key, value in pairs],
        "client": ("127.0.0.1", 40000),
        "server": ("127.0.0.1", 8000),
    }, body


def _pieces(scope: dict[str, Any], body: bytes) -> Iterator[tuple[bytes, bool]]:
    """Yield the body in two pieces; a declared length that is too large ends in a disconnection."""
    declared = dict(scope["headers"]).get(b"content-length", b"")
    length = int(declared) if declared.isdigit() and len(declared) < 19 else len(body)
    half = len(body) // 2
    yield body[:half], True
    yield body[half:length], length > len(body)


def requests() -> dict[str, bytes]:
    """Return valid requests: files as bodies, forms, and pages."""
    images = image_files()
    segment, measure = "/api/v1/segment", "/api/v1/measure"
    found = {
        name: _request("POST", segment, images[name], f"image/{kind}")
        for name, kind in {
            "RGB.png": "png",
            "RGB.jpg": "jpeg",
            "lossy.webp": "webp",
            "RGB.tif": "tiff",
        }.items()
    }
    for name, data in dicom_files().items():
        found[name] = _request("POST", f"{segment}?format=dicom", data, "application/dicom")
    form = f"multipart/form-data; boundary={BOUNDARY.decode()}"
    found["form"] = _request("POST", segment, _form({"image": images["RGB.png"]}, {"threshold": "0.4"}), form)
    both = _form({"image": encoded(photo()), "mask": encoded(mask())}, {"mm_per_pixel": "0.1"})
    found["measure"] = _request("POST", measure, both, form)
    for page in ("/", "/healthz", "/metrics", "/api/v1/about", "/openapi.json"):
        found[f"page {page.replace('/', ' ')}"] = _request("GET", page, b"", "")
    return found


def _request(method: str, target: str, body: bytes, kind: str) -> bytes:
    head = f"{method} {target} HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nContent-Length: {len(body)}\r\nAccept: */*"
    return (head + (f"\r\nContent-Type: {kind}" if kind else "")).encode() + END + body


def _form(files: dict[str, bytes], fields: dict[str, str]) -> bytes:
    parts = [
        b'Content-Disposition: form-data; name="%b"; filename="%b.png"\r\nContent-Type: image/png\r\n\r\n%b'
        % (name.encode(), name.encode(), data)
        for name, data in files.items()
    ]
    parts += [
        f'Content-Disposition: form-data; name="{key}"\r\n\r\n{value}'.encode()
        for key, value in fields.items()
    ]
    return (
        b"".join(b"--" + BOUNDARY + b"\r\n" + part + b"\r\n" for part in parts) + b"--" + BOUNDARY + b"--\r\n"
    )


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Requests]:
    """The server, started."""
    reader = Requests(tmp_path)
    yield reader
    reader.close()


@sizes(0.09)
def test_damaged_requests_are_answered_or_refused(
    count: int, campaign: Callable[[Reader, int], None], server: Requests
) -> None:
    campaign(server, count)
