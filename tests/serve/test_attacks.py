"""Short versions of the attacks of tools/attack_server.py: each leaves honest requests unharmed."""

import io
import socket
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian
from waiting import wait_until

import mlffm_segdiff.serve.decoding as decoding
from mlffm_segdiff.inference.model import Model
from mlffm_segdiff.serve import draining, job_results, job_routes

StartLive = Callable[..., object]
Form = Callable[..., dict[str, object]]
PATIENCE = 60
HEAD = (
    "POST /api/v1/segment{} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/png\r\n"
    "Content-Length: {}\r\n\r\n"
)


def head(length: int, query: str = "") -> bytes:
    return HEAD.format(query, length).encode()


def post(live, path: str = "segment", **sent: object) -> httpx2.Response:
    return httpx2.post(f"{live.url}api/v1/{path}", timeout=PATIENCE, **sent)


@pytest.fixture
def content(square: npt.NDArray[np.uint8], png: Callable[..., bytes]) -> bytes:
    return png(square)


@pytest.fixture
def hold() -> Iterator[Callable[[socket.socket], None]]:
    """Keep connections open to the end of the test."""
    held: list[socket.socket] = []
    yield held.append
    for one in held:
        one.close()


def test_stalled_uploads_have_no_slot(start_live: StartLive, form: Form, hold) -> None:
    live = start_live(queue=2)
    for _ in range(64):
        hold(live.connect(head(1000) + b"x"))
    for _ in range(100):
        hold(live.connect(head(1000)[:-4]))
    assert [post(live, **form()).status_code for _ in range(3)] == [200] * 3
    assert live.metric("segdiff_requests_in_flight") == 0


def test_uploads_that_only_hold_memory_give_way(
    start_live: StartLive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draining, "DRAIN_SECONDS", 0.1)  # the hoarder gets its refusal after it
    live = start_live(body_bytes=2**20, total_bytes=2**20)
    hoarder = live.connect(head(2**20) + bytes(2**20 - 1))
    noise = np.random.default_rng(0).integers(0, 256, (512, 512, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).save(stream, "PNG")
    files = {"image": ("noise.png", stream.getvalue())}
    wait_until(lambda: hoarder_answered(live, hoarder, files))
    answer = hoarder.recv(2**16)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after" in answer.lower()
    hoarder.close()
    assert post(live, files=files).status_code == 200


def hoarder_answered(live, hoarder: socket.socket, files: dict[str, object]) -> bool:
    """Whether an honest upload of 768 kB, sent again as a client would, displaced the hoarder."""
    assert post(live, files=files).status_code in (200, 503)
    hoarder.settimeout(0.1)
    try:
        return bool(hoarder.recv(1, socket.MSG_PEEK))
    except TimeoutError:
        return False


def test_requests_of_clients_that_left_are_not_computed(
    start_live: StartLive, form: Form, content: bytes, red
) -> None:
    live = start_live(queue=8)
    red.gate.clear()
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(post, live, **form())
        assert red.started.wait(PATIENCE)
        left = [live.connect(head(len(content), f"?sampling.seed={n}") + content) for n in range(7)]
        wait_until(lambda: live.metric("segdiff_queue_length") == 7)
        for connection in left[:-1]:
            connection.close()
        left[-1].sendall(head(5))  # a pipelined request must not hide that the client left
        left[-1].close()
        wait_until(lambda: live.metric("segdiff_requests_in_flight") == 1)
        others = threads.submit(post, live, **form())
        wait_until(lambda: live.metric("segdiff_requests_in_flight") == 2)
        red.gate.set()
        assert (first.result().status_code, others.result().status_code) == (200, 200)
    assert [count for count, _ in red.calls] == [1, 1]
    assert {sampling.seed for _, sampling in red.calls} == {0}


def test_a_running_batch_is_asked_to_stop_when_its_clients_left(
    start_live: StartLive, form: Form, content: bytes, red, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The network here runs until it may stop, as a long sampling does between two steps."""
    stopped = threading.Event()
    segment = Model.segment

    def sampling(*given: object) -> object:
        if given[0].sampling.samples:
            try:
                wait_until(engine_stops)
            finally:
                stopped.set()
        return segment(*given)

    def engine_stops() -> bool:
        red.started.set()
        interruption.stop_if_unwanted()
        return False

    from mlffm_segdiff.segmenters import interruption

    monkeypatch.setattr(Model, "segment", sampling)
    live = start_live()
    gone = live.connect(head(len(content), "?sampling.samples=2") + content)
    assert red.started.wait(PATIENCE)
    gone.close()
    assert stopped.wait(PATIENCE)
    assert post(live, **form()).status_code == 200
    assert len(red.calls) == 1


def one_bit_png(side: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    width = (side + 7) // 8
    upper, lower = (b"\0" + pixels * width for pixels in (b"\0", b"\xff"))
    rows = zlib.compress(upper * (side // 2) + lower * (side - side // 2), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_a_bomb_is_refused_by_its_header(
    serve, content: bytes, monkeypatch: pytest.MonkeyPatch, dicom: bytes
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("it was decoded")

    client = serve(pixels=1_000_000)
    for name in ("decode_case", "decode_mask"):
        monkeypatch.setattr(decoding, name, refuse)
    bomb = ("bomb.png", one_bit_png(1001))
    answer = client.post("/api/v1/segment", files={"image": bomb})
    assert (answer.status_code, answer.json()["problem"]) == (413, "too-large")
    assert "--max-megapixels" in answer.json()["hint"]
    answer = client.post("/api/v1/measure", files={"image": ("a.png", content), "mask": bomb})
    assert (answer.status_code, answer.json()["name"]) == (413, "bomb.png")

    dataset = dcmread(io.BytesIO(dicom))
    dataset.file_meta.FileMetaInformationVersion = bytes(5000)  # a long way to the transfer syntax
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    deflated = io.BytesIO()
    dataset.save_as(deflated, enforce_file_format=True)
    monkeypatch.setattr(zlib, "decompress", refuse)
    answer = client.post("/api/v1/segment", files={"image": ("bomb.dcm", deflated.getvalue())})
    assert (answer.status_code, "decompressed size is unknown" in answer.json()["detail"]) == (422, True)


def test_large_images_and_long_samplings_leave_room_for_others(
    start_live: StartLive, form: Form, monkeypatch: pytest.MonkeyPatch, red
) -> None:
    """All large ones are stuck in their decoder."""
    gate, decode = threading.Event(), decoding.decode_case

    def slow(data: bytes, *given: object) -> object:
        if len(data) == len(large):
            assert gate.wait(PATIENCE)
        return decode(data, *given)

    monkeypatch.setattr(decoding, "decode_case", slow)
    large = one_bit_png(2001)
    live = start_live(queue=6)
    with ThreadPoolExecutor(3) as threads:
        waiting = [threads.submit(post, live, files={"image": ("large.png", large)}) for _ in range(3)]
        wait_until(lambda: live.metric("segdiff_requests_in_flight") == 3)
        try:
            wait_until(lambda: post(live, files={"image": ("large.png", large)}).status_code == 503)
            heavy = post(live, params={"sampling.samples": 9, "sampling.steps": 4}, **form())
            assert (heavy.status_code, heavy.json()["problem"]) == (503, "busy")
            assert "large images and long samplings" in heavy.json()["detail"]
            usual = {"sampling.samples": 2, "sampling.steps": 4}
            assert post(live, params=usual, **form()).status_code == 200
            assert post(live, params=usual | {"box": "2,2,12,10"}, **form()).status_code == 503
            assert [post(live, **form()).status_code for _ in range(3)] == [200] * 3
        finally:
            gate.set()
        assert [one.result().status_code for one in waiting] == [200] * 3


def test_ten_times_the_queue_is_answered_or_refused_and_nothing_is_lost(
    start_live: StartLive, form: Form
) -> None:
    live = start_live(queue=4)
    with ThreadPoolExecutor(40) as threads:
        answers = list(threads.map(lambda _: post(live, **form()), range(60)))
    counts = {status: sum(one.status_code == status for one in answers) for status in (200, 503)}
    assert sum(counts.values()) == 60
    assert counts[200] >= 4
    assert all(1 <= int(one.headers["retry-after"]) <= 60 for one in answers if one.status_code == 503)
    assert live.metric("segdiff_requests_in_flight") == live.metric("segdiff_queue_length") == 0


def test_a_client_with_too_many_requests_is_refused_by_the_address_that_its_proxy_names(
    start_live: StartLive, form: Form, hold
) -> None:
    from mlffm_segdiff.serve.run import Transport

    for transport, status in ((Transport(proxies=("127.0.0.1",)), 429), (None, 200)):
        live = start_live(transport, per_client=2)
        for _ in range(2):
            sent = head(1000).replace(b"\r\n\r\n", b"\r\nX-Forwarded-For: 198.51.100.7\r\n\r\n")
            hold(live.connect(sent + b"x"))

        def answer(address: str, live: object = live) -> int:
            return post(live, headers={"X-Forwarded-For": address}, **form()).status_code

        wait_until(lambda answer=answer, status=status: answer("198.51.100.7") == status)
        assert answer("198.51.100.8") == 200


def test_a_refusal_reaches_a_client_that_still_sends(start_live: StartLive) -> None:
    """Otherwise the connection is reset, and the client sees that instead of the refusal."""
    live = start_live(body_bytes=1000)
    for size in (2_000_000, 20_000_000):
        connection = live.connect(head(size).replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        connection.sendall(bytes(size))
        answer = b"".join(iter(lambda one=connection: one.recv(2**16), b""))
        assert answer.startswith(b"HTTP/1.1 413 ")
        connection.close()


def test_length_and_transfer_encoding_together_are_refused(start_live: StartLive) -> None:
    live = start_live()
    sent = head(5).replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n")
    connection = live.connect(sent + b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    answer = b"".join(iter(lambda: connection.recv(2**16), b""))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1
    connection.close()


def test_a_thousand_tiny_jobs_are_done_or_refused_and_leave_honest_requests_unharmed(
    start_live: StartLive, form: Form, content: bytes
) -> None:
    live = start_live(jobs=8)
    url = f"{live.url}api/v1/batches"

    def send(_: int) -> tuple[int, str]:
        answer = client.post(url, files={"image": ("a.png", content)})
        assert answer.status_code == 202 or int(answer.headers["retry-after"]) >= 1
        return answer.status_code, answer.json().get("id", "")

    with httpx2.Client(timeout=PATIENCE) as client, ThreadPoolExecutor(16) as threads:
        sending = threads.map(send, range(1000))
        assert [post(live, **form()).status_code for _ in range(3)] == [200] * 3
        answers = list(sending)
        started = [id_ for status, id_ in answers if status == 202]
        assert {status for status, _ in answers} == {202, 503}
        assert len(started) == 8
        for id_ in started:
            assert '"state":"done"' in client.get(f"{url}/{id_}/events").text
            assert client.delete(f"{url}/{id_}").status_code == 204
        assert live.metric("segdiff_job_bytes") == 0
        assert send(0)[0] == 202


def test_stalled_readers_of_events_hold_nothing_but_their_connections(
    start_live: StartLive, form: Form, content: bytes, red, hold, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They never read, and still the job ends, others read its events, and readers that left are noticed."""
    monkeypatch.setattr(job_results, "ALIVE_SECONDS", 0.1)
    monkeypatch.setattr(job_routes, "MAX_STREAMS", 40)
    live = start_live(batch=1)
    red.gate.clear()
    files = [("image", (f"{number}.png", content)) for number in range(3)]
    url = httpx2.post(f"{live.url}api/v1/batches", files=files).json()["url"]
    sent = f"GET {url}/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    stalled = [live.connect(sent) for _ in range(40)]
    wait_until(lambda: live.metric("segdiff_streams") == 40)
    refused = httpx2.get(live.url + url[1:] + "/events")
    assert (refused.status_code, refused.json()["problem"]) == (503, "busy")
    for connection in stalled[:20]:
        connection.close()
    for connection in stalled[20:]:
        hold(connection)
    wait_until(lambda: live.metric("segdiff_streams") == 20)
    red.gate.set()
    assert '"state":"done"' in httpx2.get(live.url + url[1:] + "/events", timeout=PATIENCE).text
    wait_until(lambda: live.metric("segdiff_streams") == 0)
    assert post(live, **form()).status_code == 200


def test_an_image_of_a_request_does_not_wait_for_those_of_a_job(
    start_live: StartLive, form: Form, content: bytes, red
) -> None:
    live = start_live(batch=1)
    red.gate.clear()
    files = [("image", (f"{number}.png", content)) for number in range(20)]
    url = httpx2.post(f"{live.url}api/v1/batches", files=files).json()["url"]
    assert red.started.wait(PATIENCE)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(post, live, params={"sampling.steps": 7}, **form())
        wait_until(lambda: live.metric("segdiff_requests_in_flight") == 1)
        wait_until(lambda: live.metric("segdiff_queue_length") >= 1)
        red.gate.set()
        assert waiting.result().status_code == 200
    httpx2.get(live.url + url[1:] + "/events", timeout=PATIENCE)
    assert [sampling.steps for _, sampling in red.calls].index(7) <= 2
