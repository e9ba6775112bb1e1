"""The routes of jobs: several images, segmented in the background."""

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, Query, Request, Response
from fastapi.responses import JSONResponse

from mlffm_segdiff.serve import openapi
from mlffm_segdiff.serve.admission import Lane
from mlffm_segdiff.serve.job import Job
from mlffm_segdiff.serve.job_results import (
    HeldFile,
    HeldStream,
    JobStatus,
    job_events,
    job_status,
    zip_pieces,
)
from mlffm_segdiff.serve.job_upload import read_job_upload
from mlffm_segdiff.serve.jobs import Jobs
from mlffm_segdiff.serve.keys import ApiKeys
from mlffm_segdiff.serve.metrics import Metrics
from mlffm_segdiff.serve.options import JobOptions, with_fields
from mlffm_segdiff.serve.problem import NOT_FOUND, UNFINISHED, RefusedError
from mlffm_segdiff.serve.upload import require_once

ROUTE = "/api/v1/batches"
ACCEPTED, NOTHING_MORE = 202, 204
MAX_STREAMS = 64


def add_jobs(app: FastAPI, jobs: Jobs, metrics: Metrics, keys: ApiKeys | None) -> None:
    """Add the routes of jobs to an application. On a server with API keys, a job is that of its key."""

    def owner(request: Request) -> str:
        return keys.owner(request.headers) if keys else ""

    async def find(request: Request, id: str) -> Job:
        return jobs.find(id, owner(request))

    found = Depends(find)

    @app.post(ROUTE, status_code=ACCEPTED, response_model=JobStatus, **openapi.START_JOB)
    async def start_job(request: Request, options: Annotated[JobOptions, Query()]) -> Response:
        """Start a job: segment several images, and write what `mlffm-segdiff predict` writes.

        An image that cannot be used has an error in the job, which does not fail.
        """
        job = await _received(jobs, request, owner(request), options)
        status = job_status(job)
        return JSONResponse(status.model_dump(), ACCEPTED, {"Location": status.url})

    @app.get(ROUTE + "/{id}", responses=openapi.OF_JOB)
    async def get_job(job: Annotated[Job, found]) -> JobStatus:
        """Report the state of a job and of its images."""
        return job_status(job)

    @app.delete(ROUTE + "/{id}", status_code=NOTHING_MORE, responses=openapi.OF_JOB)
    async def delete_job(job: Annotated[Job, found]) -> None:
        """Cancel a job and remove its files."""
        jobs.remove(job)

    _add_streams(app, jobs, metrics, found)

    @app.get(ROUTE + "/{id}/results/{path:path}", response_class=Response, responses=openapi.RESULT)
    async def get_result(job: Annotated[Job, found], path: str) -> Response:
        """Send one file of a job, by its path in the job's state."""
        if path not in job.files:
            raise RefusedError(NOT_FOUND, "the job has no such file", "see the files in its state")
        with ExitStack() as stack:
            stack.enter_context(jobs.reading(job))
            response = HeldFile(job.output.folder / path)
            response.held = stack.pop_all()
            return response


def _add_streams(app: FastAPI, jobs: Jobs, metrics: Metrics, found: Any) -> None:
    """Add the routes that send for long: events and ZIP files. `found` finds the job of a request."""
    streams = Lane(MAX_STREAMS, "streams of events and ZIP files")

    def held(request: Request, job: Job) -> ExitStack:
        """Count a stream. Raises RefusedError if its client (429) or the server (503) has too many."""
        with ExitStack() as stack:
            stack.enter_context(jobs.reading(job))
            stack.enter_context(jobs.engine.clients.request(_address(request)))
            stack.enter_context(streams.slot())
            metrics.streams.inc()
            stack.callback(metrics.streams.dec)
            return stack.pop_all()

    @app.get(ROUTE + "/{id}/events", response_class=Response, responses=openapi.EVENTS)
    async def get_events(
        request: Request,
        job: Annotated[Job, found],
        last_event_id: Annotated[int, Header(ge=0, description="Of the last event received.")] = 0,
    ) -> Response:
        """Send server-sent events: `image` for each finished image, then `end`."""
        if job.ended and last_event_id > len(job.images):
            return Response(status_code=NOTHING_MORE)  # otherwise browsers connect again
        return _stream(held(request, job), job_events(job, last_event_id), "text/event-stream")

    @app.get(ROUTE + "/{id}/zip", response_class=Response, responses=openapi.ZIP)
    async def get_zip(request: Request, job: Annotated[Job, found]) -> Response:
        """Send all files of a job that is done as one ZIP file."""
        if job.state != "done":
            hint = "wait until its state is done; results of single images are there earlier"
            raise RefusedError(UNFINISHED, f"the state of the job is {job.state}", hint)
        stream = _stream(held(request, job), zip_pieces(job.output.folder, job.files), "application/zip")
        stream.headers["Content-Disposition"] = 'attachment; filename="results.zip"'
        return stream


async def _received(jobs: Jobs, request: Request, owner: str, options: JobOptions) -> Job:
    """Receive the images of a job and queue it."""
    require_once(name for name, _ in request.query_params.multi_items())
    with jobs.engine.clients.request(_address(request)):
        job = jobs.open(_address(request), owner)
        try:
            fields = await read_job_upload(request, job, jobs.engine.limits)
            options = with_fields(options, fields)
            sampling = jobs.engine.sampling(options.sampling)
            job.plan(options, replace(jobs.engine.model, sampling=sampling))
            jobs.start(job)
        except BaseException:
            jobs.remove(job)
            raise
        return job


def _stream(held: ExitStack, content: AsyncIterator[str] | Iterator[bytes], kind: str) -> HeldStream:
    stream = HeldStream(content, media_type=kind)
    stream.held = held
    return stream


def _address(request: Request) -> str:
    return request.client.host if request.client else ""
