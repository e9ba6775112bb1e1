"""Responses about a job: its state, its events, and its files as one ZIP file."""

import asyncio
import io
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from fastapi.responses import FileResponse, Response, StreamingResponse
from pydantic import BaseModel
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from mlffm_segdiff.inference.outputs.predictions import Status
from mlffm_segdiff.serve.job import Job, PublicState

ALIVE_SECONDS = 15.0
"""Longest time without a line, so that proxies keep the stream, and readers that left are noticed."""
PIECE_BYTES = 2**16


class JobImageStatus(BaseModel):
    """An image of a job.

    Attributes:
        name: File name.
        status: ``incomplete``: the mask was written, another output was not. ``failed``: no mask.
        error: What went wrong.
        expected_dice: Null if it is unknown.
        flags: Reasons to review the case.
        files: Paths of its results, relative to the job's address; its mask first.
    """

    name: str
    status: Literal["waiting"] | Status
    error: str = ""
    expected_dice: float | None = None
    flags: list[str] = []
    files: list[str] = []


class JobCounts(BaseModel):
    """How far a job is.

    Attributes:
        state: ``failed`` only for a fault of the server; an image that failed has an error.
        detail: Why the job failed.
        count: Number of images.
        finished: Number of images with a result or an error.
        failed: Number of images without a mask.
        faults: Errors of outputs that are one file for all images.
    """

    state: PublicState
    detail: str
    count: int
    finished: int
    failed: int
    faults: list[str]


class JobStatus(JobCounts):
    """A job and its images.

    Attributes:
        id: Job id.
        url: Its address on this server.
        files: Paths of the results for all images, relative to the job's address, once it is done.
        images: Images of the job, in the order of the upload.
    """

    id: str
    url: str
    files: list[str]
    images: list[JobImageStatus]


def job_status(job: Job) -> JobStatus:
    """Return the state of a job."""
    return JobStatus(
        id=job.id,
        url=f"/api/v1/batches/{job.id}",
        files=[_path(name) for name in job.run_files],
        images=[_image_status(job, number) for number in range(len(job.images))],
        **_counts(job),
    )


def _counts(job: Job) -> dict[str, Any]:
    return {
        "state": job.state,
        "detail": job.detail,
        "count": len(job.images),
        "finished": len(job.rows),
        "failed": sum(row.failed for row in job.rows),
        "faults": job.faults,
    }


def _image_status(job: Job, number: int) -> JobImageStatus:
    if number >= len(job.rows):
        return JobImageStatus(name=job.images[number].name, status="waiting")
    row = job.rows[number]
    return JobImageStatus(
        name=row.image,
        status=row.status,
        error=row.error,
        expected_dice=row.expected_dice,
        flags=row.flags.split(),
        files=[_path(name) for name in job.image_files[number]],
    )


def _path(name: str) -> str:
    return f"results/{quote(name)}"


class JobEvent(BaseModel):
    """The event of one finished image.

    Attributes:
        number: Number of the image, from 1; also the id of the event.
        count: Number of images.
        image: Its result.
    """

    number: int
    count: int
    image: JobImageStatus


async def job_events(job: Job, last: int) -> AsyncIterator[str]:
    """Yield the events of a job as server-sent events: ``image`` for each finished one, then ``end``.

    They are read from the job, so that a slow reader holds nothing but its connection.

    Args:
        job: Whose.
        last: Id of the last event that the client has; 0 for none.
    """
    while True:
        changed = job.changed
        while last < len(job.rows):
            event = JobEvent(number=last + 1, count=len(job.images), image=_image_status(job, last))
            last += 1
            yield f"id: {last}\nevent: image\ndata: {event.model_dump_json()}\n\n"
        if job.ended:
            counts = JobCounts(**_counts(job)).model_dump_json()
            yield f"id: {len(job.images) + 1}\nevent: end\ndata: {counts}\n\n"
            return
        try:
            async with asyncio.timeout(ALIVE_SECONDS):
                await changed.wait()
        except TimeoutError:
            yield ": alive\n\n"


def zip_pieces(folder: Path, names: Sequence[str]) -> Iterator[bytes]:
    """Yield a ZIP file of files in a folder piece by piece; the same files give the same bytes."""
    sink = _Sink()
    with ZipFile(sink, "w") as archive:
        for name in names:
            info = ZipInfo(name)
            info.compress_type = ZIP_STORED if name.endswith(".png") else ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            with archive.open(info, "w", force_zip64=True) as entry, (folder / name).open("rb") as file:
                while piece := file.read(PIECE_BYTES):
                    entry.write(piece)
                    yield sink.take()
    yield sink.take()


class _Sink(io.RawIOBase):
    """Collects what is written until it is taken."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        taken = b"".join(self._pieces)
        self._pieces.clear()
        return taken


class _Held(Response):
    """A response that holds something until it ends, or its client leaves."""

    held: ExitStack

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response."""
        with self.held, suppress(ClientDisconnect):
            await super().__call__(scope, receive, send)


class HeldStream(_Held, StreamingResponse):
    """A stream that holds something."""


class HeldFile(_Held, FileResponse):
    """A file that holds something."""
