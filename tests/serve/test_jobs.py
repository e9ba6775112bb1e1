"""Jobs: several images in one request, their events and results."""

import asyncio
import csv
import errno
import io
import json
import os
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import httpx2
import numpy as np
import numpy.typing as npt
import pytest
import torch
from fastapi.testclient import TestClient
from waiting import wait_until

from mlffm_segdiff.config.schema import SamplingConfig
from mlffm_segdiff.data.image_memory import MAX_MEMORY
from mlffm_segdiff.files import atomic
from mlffm_segdiff.inference import pool
from mlffm_segdiff.inference.analysis import Processing
from mlffm_segdiff.inference.model import Model
from mlffm_segdiff.inference.outputs.writers import Output
from mlffm_segdiff.inference.predict import predict_files
from mlffm_segdiff.inference.reading import case_image
from mlffm_segdiff.serve import job_results
from mlffm_segdiff.serve import jobs as jobs_module
from mlffm_segdiff.serve.job import Job
from mlffm_segdiff.serve.jobs import RUNNING, SHORT, Jobs
from mlffm_segdiff.serve.keys import ApiKeys
from mlffm_segdiff.serve.limits import Limits
from mlffm_segdiff.serve.metrics import Metrics
from mlffm_segdiff.serve.problem import RefusedError

URL = "/api/v1/batches"
PATIENCE = 60
MINE, THEIRS = "0123456789abcdef", "fedcba9876543210"

Serve = Callable[..., TestClient]


@pytest.fixture
def images(square: npt.NDArray[np.uint8], png: Callable[..., bytes]) -> Callable[[int], list[object]]:
    """Forms of a number of images, each with the square at another place."""
    return lambda count: [
        ("image", (f"{number}.png", png(np.roll(square, number, 1)))) for number in range(count)
    ]


def ended(client, url: str) -> dict[str, object]:
    wait_until(lambda: client.get(url).json()["state"] not in ("queued", "running"))
    return client.get(url).json()


def events(text: str) -> list[tuple[int, str, dict[str, object]]]:
    """The server-sent events of a text, by the rules of the HTML standard."""
    found = []
    for block in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if lines:
            found.append((int(lines["id"]), lines["event"], json.loads(lines["data"])))
    return found


def test_a_job_writes_what_predict_writes(serve: Serve, images, red, tmp_path: Path) -> None:
    form = images(3)
    client = serve()
    answer = client.post(URL, files=form, data={"threshold": "0.4", "outputs": "overlay,contours,coco"})
    assert answer.status_code == 202, answer.text
    started = answer.json()
    assert answer.headers["location"] == started["url"]
    assert [image["name"] for image in started["images"]] == ["0.png", "1.png", "2.png"]
    job = ended(client, started["url"])
    assert (job["state"], job["count"], job["finished"], job["failed"]) == ("done", 3, 3, 0)

    for _, (name, content) in form:
        (tmp_path / name).write_bytes(content)
    expected = Output(tmp_path / "out", ("overlay", "contours", "coco"))
    model = Model(red, 16, SamplingConfig(), torch.device("cpu"))
    list(predict_files(sorted(tmp_path.glob("*.png")), model, expected, Processing(0.4)))
    written = {
        path.relative_to(expected.folder).as_posix(): path.read_bytes()
        for path in expected.folder.rglob("*.*")
        if not path.name.startswith(".")
    }
    archive = zipfile.ZipFile(io.BytesIO(client.get(f"{started['url']}/zip").content))
    assert archive.testzip() is None
    assert {name: archive.read(name) for name in archive.namelist()} == written
    listed = job["files"] + [file for image in job["images"] for file in image["files"]]
    assert {client.get(f"{started['url']}/{file}").content for file in listed} == set(written.values())
    assert len(listed) == len(written) == 3 * 3 + 2
    single = client.post("/api/v1/segment", files=dict(form[:1]), data={"threshold": "0.4", "format": "png"})
    assert single.content == written["masks/0.png"]
    metrics = client.get("/metrics").text
    for line in (
        'segdiff_requests_total{route="/api/v1/batches",status="202"} 1.0',
        'segdiff_requests_total{route="/api/v1/batches/{id}/zip",status="200"} 1.0',
        'segdiff_job_images_total{status="done"} 3.0',
        'segdiff_jobs{state="done"} 1.0',
    ):
        assert f"\n{line}\n" in metrics


def test_a_bad_image_is_a_row_with_its_error(serve: Serve, images, png: Callable[..., bytes]) -> None:
    client = serve(pixels=1000)
    form = images(1)
    form.append(("image", ("text.jpg", b"not an image")))
    form.append(("image", ("large.png", png(np.zeros((40, 40, 3), np.uint8)))))
    form.append(("image", ("blank.png", png(np.zeros((16, 16, 3), np.uint8)))))
    form.append(("image", ("../../two.png", form[0][1][1])))
    job = ended(client, client.post(URL, files=form).json()["url"])
    assert (job["state"], job["failed"]) == ("done", 3)
    assert [image["status"] for image in job["images"]] == ["done", "failed", "failed", "failed", "done"]
    assert [image["name"] for image in job["images"]][-1] == "two.png"
    errors = [image["error"] for image in job["images"][1:4]]
    assert [error.split()[0].rstrip(":") for error in errors] == ["text.jpg", "large.png", "blank.png"]
    archive = zipfile.ZipFile(io.BytesIO(client.get(f"{job['url']}/zip").content))
    table = list(csv.DictReader(io.StringIO(archive.read("predictions.csv").decode())))
    assert [row["error"] for row in table][1:4] == errors


def test_a_response_is_that_of_segment(serve: Serve, images) -> None:
    client = serve()
    form = images(2)
    data = {"threshold": "0.4", "sampling.samples": "2"}
    job = ended(client, client.post(URL, files=form, data={**data, "outputs": "response"}).json()["url"])
    parts = dict.fromkeys(("band", "maps", "preview"), "true")
    for image, (_, file) in zip(job["images"], form, strict=True):
        (path,) = [name for name in image["files"] if name.endswith(".json")]
        expected = client.post("/api/v1/segment", files={"image": file}, data=data | parts).json()
        assert client.get(f"{job['url']}/{path}").json() == expected
        assert expected["maps"]["samples"]


@pytest.mark.parametrize("shown", [True, False])
def test_a_response_is_made_in_the_memory_of_one_image(
    serve: Serve, images, monkeypatch: pytest.MonkeyPatch, shown: bool
) -> None:
    monkeypatch.setattr(pool, "RESULT_BYTES", MAX_MEMORY // 16**2)  # one image takes all
    monkeypatch.setattr(case_image, "KEPT_PIXELS", 0)
    monkeypatch.setattr(case_image, "MAX_SHOWN_PIXELS", 10**6 if shown else 255)
    client = serve()
    job = ended(client, client.post(URL, files=images(2), data={"outputs": "response"}).json()["url"])
    single = client.post("/api/v1/segment", files=dict(images(1)), data={"preview": "true"})
    error = "0.png is 16x16, above the limit of 0.000255 megapixels for outputs that show the whole image"
    if shown:
        assert [image["status"] for image in job["images"]] == ["done"] * 2
        assert single.json()["preview"]
    else:
        assert job["images"][0]["error"].startswith(f"response: {error}; shrink it")
        assert (single.status_code, single.json()["detail"]) == (422, error)


def test_a_short_job_does_not_wait_for_long_ones(serve: Serve, images, red) -> None:
    client = serve(batch=1)
    red.gate.clear()
    long = [client.post(URL, files=images(SHORT + 1)).json()["url"] for _ in range(RUNNING + 1)]
    short = client.post(URL, files=images(SHORT)).json()["url"]
    wait_until(lambda: client.get(short).json()["state"] == "running")
    assert client.get(long[-1]).json()["state"] == "queued"
    red.gate.set()
    assert ended(client, short)["state"] == "done"


def test_a_dicom_file_gives_a_dicom_seg(serve: Serve, dicom: bytes) -> None:
    client = serve()
    form = [("image", ("a.dcm", dicom))]
    job = ended(client, client.post(URL, files=form, data={"outputs": "dicom-seg"}).json()["url"])
    (seg,) = [name for name in job["images"][0]["files"] if name.endswith(".dcm")]
    assert client.get(f"{job['url']}/{seg}").content[128:132] == b"DICM"


def test_events_are_one_for_each_image_and_resume(start_live, images) -> None:
    live = start_live()
    url = httpx2.post(f"{live.url}api/v1/batches", files=images(4)).json()["url"][1:]
    first = events(httpx2.get(f"{live.url}{url}/events", timeout=PATIENCE).text)
    assert [(id_, kind) for id_, kind, _ in first] == [*((n, "image") for n in (1, 2, 3, 4)), (5, "end")]
    assert [data["image"]["name"] for _, _, data in first[:-1]] == ["0.png", "1.png", "2.png", "3.png"]
    assert (first[-1][2]["state"], first[-1][2]["finished"]) == ("done", 4)
    rest = httpx2.get(f"{live.url}{url}/events", headers={"Last-Event-ID": "3"}).text
    assert events(rest) == first[3:]
    assert httpx2.get(f"{live.url}{url}/events", headers={"Last-Event-ID": "5"}).status_code == 204


def test_a_deleted_job_stops_and_its_files_are_removed(serve: Serve, images, red, monkeypatch) -> None:
    folders: list[Path] = []
    plan = Job.plan
    monkeypatch.setattr(Job, "plan", lambda job, *given: (folders.append(job.folder), plan(job, *given))[1])
    client = serve(batch=1)
    red.gate.clear()
    urls = [client.post(URL, files=images(5)).json()["url"] for _ in range(4)]
    assert red.started.wait(PATIENCE)
    assert client.get(f"{urls[0]}/zip").json()["problem"] == "unfinished"
    assert [client.delete(url).status_code for url in urls] == [204] * 4
    assert [client.get(url).status_code for url in urls] == [404] * 4
    red.gate.set()
    wait_until(lambda: not any(folder.exists() for folder in folders))
    assert len(red.calls) <= 2
    text = client.get("/metrics").text
    assert "segdiff_job_bytes 0.0" in text


def test_an_ended_job_is_removed_after_its_time(serve: Serve, images, monkeypatch) -> None:
    monkeypatch.setattr(jobs_module, "SWEEP_SECONDS", 0.05)
    client = serve(job_seconds=0.2)
    url = client.post(URL, files=images(1)).json()["url"]
    wait_until(lambda: client.get(url).status_code != 200)
    assert client.get(url).json()["problem"] == "not-found"


@pytest.mark.parametrize(
    ("limits", "data", "status", "words"),
    [
        ({"job_images": 2}, {}, 413, "more than 2 images"),
        ({"job_bytes": 100}, {}, 413, "larger than"),
        ({"disk_bytes": 100}, {}, 503, "the files of all jobs"),
        ({"jobs": 0}, {}, 503, "the server has 0 jobs"),
        ({}, {"outputs": "nothing"}, 422, "is not an output"),
        ({}, {"outputs": "spread"}, 422, "sampl"),
        ({}, {"threshold": "2"}, 422, "threshold"),
        ({}, {"level": "2.5"}, 422, "level 0.025 is not calibrated"),
        ({}, {"sampling.steps": "999"}, 422, "sampling.steps"),
    ],
)
def test_what_cannot_be_done_is_refused_and_leaves_nothing(
    serve: Serve, images, limits: dict[str, int], data: dict[str, str], status: int, words: str
) -> None:
    client = serve(**limits)
    answer = client.post(URL, files=images(3), data=data)
    assert (answer.status_code, words in answer.text) == (status, True), answer.text
    text = client.get("/metrics").text
    assert "segdiff_job_bytes 0.0" in text
    assert 'segdiff_jobs{state="uploading"} 0.0' in text or limits.get("jobs") == 0


def test_forms_without_usable_images_are_refused(serve: Serve, images) -> None:
    client = serve()
    two = images(1) * 2
    assert "would both write" in client.post(URL, files=two).json()["detail"]
    assert client.post(URL, files={"photo": ("a.png", b"x")}).status_code == 422
    assert client.post(URL, files={"image": ("", b"")}, data={"threshold": "0.4"}).status_code in (400, 422)
    assert client.post(URL, content=b"x", headers={"Content-Type": "image/png"}).status_code == 415
    cut = b"--x\r\nContent-Disposition: form-data; name=image; filename=a.png\r\n\r\nabc"
    answer = client.post(URL, content=cut, headers={"Content-Type": "multipart/form-data; boundary=x"})
    assert answer.status_code == 400


def test_results_that_do_not_fit_on_the_disk_fail_the_job(serve: Serve, images) -> None:
    client = serve(disk_bytes=1100)
    job = ended(client, client.post(URL, files=images(3)).json()["url"])
    assert (job["state"], "the files of all jobs" in job["detail"]) == ("failed", True)


def test_a_job_is_cancelled_when_the_server_stops(start_live, images, red) -> None:
    live = start_live(batch=1)
    red.gate.clear()
    url = httpx2.post(f"{live.url}api/v1/batches", files=images(3)).json()["url"][1:]
    assert red.started.wait(PATIENCE)
    text: list[str] = []

    def read() -> None:
        text.append(httpx2.get(f"{live.url}{url}/events", timeout=PATIENCE).text)

    reader = threading.Thread(target=read)
    reader.start()
    wait_until(lambda: "segdiff_streams 1.0" in httpx2.get(f"{live.url}metrics").text)
    stopping = threading.Timer(0.5, red.gate.set)
    stopping.start()
    live.stop()
    reader.join(PATIENCE)
    assert events(text[0])[-1][2]["state"] == "cancelled"


def test_a_client_has_a_number_of_jobs(start_live, images) -> None:
    from mlffm_segdiff.serve.run import Transport

    live = start_live(Transport(proxies=("127.0.0.1",)), jobs_per_client=2)

    def post(address: str) -> httpx2.Response:
        headers = {"X-Forwarded-For": address}
        return httpx2.post(f"{live.url}api/v1/batches", files=images(1), headers=headers)

    mine = [post("198.51.100.7") for _ in range(3)]
    assert [one.status_code for one in mine] == [202, 202, 429]
    assert int(mine[2].headers["retry-after"]) >= 1
    assert post("198.51.100.8").status_code == 202


def test_a_refused_client_learns_when_a_job_of_its_own_may_be_removed() -> None:
    """By hand: 2 s for an unfinished short job, 60 s for a long one, as long again for one that has ended."""
    mine, theirs, now = "198.51.100.7", "198.51.100.8", 1000.0
    limits = Limits(jobs=3, jobs_per_client=1, job_seconds=3600)
    jobs = Jobs(SimpleNamespace(limits=limits), Metrics(), clock=lambda: now)

    def seconds(address: str) -> int:
        with pytest.raises(RefusedError) as refused:
            jobs.open(address, "")
        return int(refused.value.headers["Retry-After"])

    async def fill() -> None:
        nonlocal now
        async with jobs.running():
            short, long = jobs.open(mine, ""), jobs.open(theirs, "")
            for number in range(SHORT + 1):
                long.new_file(str(number)).close()
            assert (seconds(mine), seconds(theirs)) == (2, 60)
            short.state, short.ended_at = "done", now
            assert seconds(mine) == 2
            now += 600
            assert (seconds(mine), seconds(theirs)) == (600, 60)
            now += 2990
            assert seconds(mine) == 10
            jobs.open("127.0.0.1", "")
            assert seconds("127.0.0.1") == 2

    asyncio.run(fill())


def test_a_job_that_nobody_asks_for_is_removed_if_its_client_wanted_that(
    start_live, images, red, monkeypatch
) -> None:
    monkeypatch.setattr(jobs_module, "SWEEP_SECONDS", 0.05)
    live = start_live(batch=1)
    red.gate.clear()
    text: list[str] = []

    def post(**data: int) -> str:
        job = httpx2.post(f"{live.url}api/v1/batches", files=images(2), data=data).json()
        return f"{live.url}{job['url'][1:]}"

    def wait_for(*lines: str) -> None:
        wait_until(lambda: all(f"\n{line}\n" in httpx2.get(f"{live.url}metrics").text for line in lines))

    kept, read = post(), post(idle_seconds=1)
    reader = threading.Thread(target=lambda: text.append(httpx2.get(f"{read}/events", timeout=PATIENCE).text))
    reader.start()
    wait_for("segdiff_streams 1.0")
    left = post(idle_seconds=1)
    wait_for('segdiff_jobs{state="running"} 2.0', 'segdiff_jobs{state="queued"} 1.0')
    wait_for('segdiff_jobs{state="running"} 2.0', 'segdiff_jobs{state="queued"} 0.0')
    assert httpx2.get(left).status_code == 404
    red.gate.set()
    reader.join(PATIENCE)
    assert events(text[0])[-1][2]["state"] == "done"
    assert ended(httpx2, kept)["state"] == "done"


def test_a_job_is_that_of_its_api_key(serve: Serve, images) -> None:
    client = serve(keys=ApiKeys([MINE, THEIRS]))
    mine, theirs = {"X-API-Key": MINE}, {"Authorization": f"Bearer {THEIRS}"}
    job = client.post(URL, files=images(1), headers=mine).json()
    assert client.get(f"{job['url']}/events", headers=mine).status_code == 200
    (file,) = [
        name for name in client.get(job["url"], headers=mine).json()["images"][0]["files"] if "masks" in name
    ]
    paths = [job["url"], f"{job['url']}/events", f"{job['url']}/zip", f"{job['url']}/{file}"]
    assert [client.get(path, headers=theirs).json()["problem"] for path in paths] == ["not-found"] * 4
    assert client.delete(job["url"], headers=theirs).status_code == 404
    bearer = {"Authorization": f"Bearer {MINE}"}
    assert [client.get(path, headers=bearer).status_code for path in paths] == [200] * 4
    assert client.delete(job["url"], headers=bearer).status_code == 204


def test_other_sites_cannot_start_or_delete_a_job(serve: Serve, images) -> None:
    client = serve()
    foreign = {"Sec-Fetch-Site": "cross-site"}
    url = client.post(URL, files=images(1)).json()["url"]
    assert client.post(URL, files=images(1), headers=foreign).status_code == 403
    assert client.delete(url, headers=foreign).status_code == 403


def test_a_path_outside_the_results_is_not_found(start_live, images) -> None:
    """As bytes, since clients shorten paths with dots before they send them."""
    live = start_live()
    url = httpx2.post(f"{live.url}api/v1/batches", files=images(1)).json()["url"]
    ended(httpx2, f"{live.url}{url[1:]}")

    def get(path: str) -> bytes:
        sent = f"GET {url}/results/{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
        with live.connect(sent.encode()) as connection, connection.makefile("rb") as answer:
            return answer.readline().split()[1]

    assert get("masks/0.png") == b"200"
    for path in (
        "../results/masks/0.png",
        "%2e%2e/results/masks/0.png",
        "/etc/passwd",
        "masks",
        ".predict.jsonl",
    ):
        assert get(path) == b"404"


def test_files_of_a_job_are_not_looked_for_again_at_each_request(
    serve: Serve, images, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = serve()
    url = client.post(URL, files=images(3)).json()["url"]
    ended(client, url)

    def refuse(path: Path) -> bool:
        raise AssertionError(f"{path} is looked for")

    monkeypatch.setattr(Path, "is_file", refuse)
    job = client.get(url).json()
    assert client.get(f"{url}/{job['images'][2]['files'][0]}").status_code == 200
    assert len(job["files"]) == 2


def test_a_job_is_kept_while_its_results_are_sent(serve: Serve) -> None:
    now = 0.0
    engine = SimpleNamespace(limits=Limits(job_seconds=60))
    jobs = Jobs(engine, Metrics(), clock=lambda: now)

    async def scene() -> None:
        nonlocal now
        async with jobs.running():
            job = jobs.open("127.0.0.1", "")
            job.state, job.ended_at, job.idle_seconds = "done", now, 10
            with jobs.reading(job):
                now = 61
                await asyncio.sleep(0.2)
                assert jobs.find(job.id, "") is job
            await asyncio.sleep(0.2)
            with pytest.raises(RefusedError):
                jobs.find(job.id, "")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jobs_module, "SWEEP_SECONDS", 0.05)
        asyncio.run(scene())


@pytest.mark.parametrize("more", [0, 1])
def test_a_job_whose_upload_ends_after_the_server_was_stopped_is_refused(
    start_live, png: Callable[..., bytes], square: npt.NDArray[np.uint8], more: int
) -> None:
    """As bytes: the first image arrives before the stop; the end of the form, or one more image, after it."""
    parts = [
        b'--x\r\nContent-Disposition: form-data; name="image"; filename="%d.png"\r\n\r\n%b\r\n'
        % (number, png(square))
        for number in range(1 + more)
    ]
    first, *rest = [*parts, b"--x--\r\n"]
    live = start_live()
    head = (
        "POST /api/v1/batches HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\n"
        f"Content-Length: {len(first) + len(b''.join(rest))}\r\n\r\n"
    )
    with live.connect(head.encode() + first) as connection, connection.makefile("rb") as answer:
        wait_until(lambda: 'segdiff_jobs{state="uploading"} 1.0' in httpx2.get(f"{live.url}metrics").text)
        time.sleep(0.2)  # until the first image has been received
        live.when_stopping = lambda: connection.sendall(b"".join(rest))
        live.stop()
        text = answer.read().decode()
    assert text.startswith("HTTP/1.1 503 "), text
    assert "the server is stopping" in text
    assert "retry-after: 5" in text.lower()


def no_space(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_an_upload_on_a_full_disk_is_refused(serve: Serve, images, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Job, "new_file", no_space)
    client = serve()
    answer = client.post(URL, files=images(1))
    assert (answer.status_code, answer.json()["detail"]) == (503, "no space is left in TMPDIR")
    assert int(answer.headers["retry-after"]) == 60
    assert 'segdiff_jobs{state="uploading"} 0.0' in client.get("/metrics").text


def test_results_on_a_full_disk_fail_the_job_with_the_cause(
    serve: Serve, images, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(atomic, "_sync", no_space)
    client = serve()
    job = ended(client, client.post(URL, files=images(1)).json()["url"])
    cause = f"cannot be written ({os.strerror(errno.ENOSPC)})"
    assert (job["state"], job["detail"]) == ("failed", f"TMPDIR/results/.predict.jsonl {cause}")


def test_the_number_of_images_may_be_above_a_thousand(serve: Serve) -> None:
    """Starlette's own limit is 1,000 files."""
    client = serve(job_images=1001)
    files = [("image", (f"{number}.png", b"x")) for number in range(1002)]
    answer = client.post(URL, files=files[:-1])
    assert (answer.status_code, answer.json().get("count")) == (202, 1001)
    assert client.post(URL, files=files).json()["detail"] == "the form has more than 1001 images"


@pytest.mark.parametrize("path", ["zip", "results/masks/0.png"])
def test_files_are_kept_until_they_are_read(
    start_live, images, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """The job is deleted when the response has begun, before its files are opened."""
    live = start_live()
    url = f"{live.url}{httpx2.post(f'{live.url}api/v1/batches', files=images(3)).json()['url'][1:]}"
    ended(httpx2, url)
    expected = httpx2.get(f"{url}/{path}").content
    call = job_results._Held.__call__

    async def delete_first(response: object, *given: object) -> None:
        deleted = await asyncio.to_thread(httpx2.delete, url)
        assert deleted.status_code == 204
        await call(response, *given)

    monkeypatch.setattr(job_results._Held, "__call__", delete_first)
    answer = httpx2.get(f"{url}/{path}")
    assert (answer.status_code, answer.content) == (200, expected)
    monkeypatch.undo()
    assert httpx2.get(f"{url}/{path}").status_code == 404
    assert "segdiff_job_bytes 0.0" in httpx2.get(f"{live.url}metrics").text
