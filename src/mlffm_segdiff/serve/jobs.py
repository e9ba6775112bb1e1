"""The jobs of a server: how many there are, whose they are, and how long they are kept."""

import asyncio
import math
import re
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.files.atomic import sweep_unfinished, working_folder
from mlffm_segdiff.serve.admission import Clock, busy, client_of
from mlffm_segdiff.serve.engine import Engine
from mlffm_segdiff.serve.job import Disk, Job
from mlffm_segdiff.serve.metrics import Metrics
from mlffm_segdiff.serve.problem import NOT_FOUND, TOO_MANY, RefusedError

RUNNING = 2
"""Jobs that run at the same time; the others wait in their order."""
SHORT = 8
"""Maximum images of a short job; as many short jobs run in addition, so they do not wait for long ones."""
SHORT_SECONDS, LONG_SECONDS = 2, 60
"""Seconds after which an unfinished short or long job may be gone, for clients that found too many jobs."""
SWEEP_SECONDS = 5.0
WORKER_NAME = re.compile(r"[a-z0-9]{0,32}")
"""A dash ends it in the id of a job, by which a proxy finds the worker."""


def temporary_folder() -> Path:
    """Return the folder for temporary files. Raises UserError if there is none."""
    try:
        return Path(tempfile.gettempdir())
    except OSError as error:
        raise UserError(
            f"batch jobs need a folder for temporary files ({error.strerror}); set TMPDIR to one with write "
            "permission and free disk space"
        ) from None


class Jobs:
    """The jobs of one server, with their files in a private temporary folder; none survives the server.

    Args:
        engine: Engine that segments their images.
        metrics: Metrics that report them.
        clock: Returns the time in seconds.
        worker: Name of this server behind a proxy with several; empty for one server.

    Raises:
        UserError: The name has other characters than lowercase letters and digits, or more than 32.
    """

    def __init__(
        self, engine: Engine, metrics: Metrics, clock: Clock = time.monotonic, worker: str = ""
    ) -> None:
        if not WORKER_NAME.fullmatch(worker):
            raise UserError(
                f"--worker {worker!r} cannot be used as a prefix of job ids; give at most 32 lowercase "
                "letters and digits"
            )
        self._worker = worker
        self.engine = engine
        self.disk = Disk(engine.limits.disk_bytes, metrics.job_disk)
        self._metrics = metrics
        self._clock = clock
        self._jobs: dict[str, Job] = {}
        self._waiting: dict[bool, asyncio.Queue[Job | None]]  # by whether they are short
        self._folder: Path

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Create the folder and run jobs; at the end remove all."""
        self._waiting = {False: asyncio.Queue(), True: asyncio.Queue()}
        parent = temporary_folder()
        sweep_unfinished(parent)  # what a killed server left
        with working_folder(parent) as self._folder, ExitStack() as pools:
            queues = RUNNING * list(self._waiting.values())
            threads = [pools.enter_context(ThreadPoolExecutor(1, "job")) for _ in queues]
            workers = [asyncio.create_task(self._work(*one)) for one in zip(queues, threads, strict=True)]
            expiring = asyncio.create_task(self._expire())
            try:
                yield
            finally:
                expiring.cancel()
                self.stop()
                for queue in queues:
                    queue.put_nowait(None)
                await asyncio.gather(*workers)

    def open(self, address: str, owner: str) -> Job:
        """Return a new job, whose files are still to come.

        Args:
            address: Network address of its client.
            owner: See `Job`.

        Raises:
            RefusedError: The client (429) or the server (503) has too many jobs.
        """
        limits, client, jobs = self.engine.limits, client_of(address), self._jobs.values()
        own = [job for job in jobs if job.client == client]
        if client is not None and len(own) >= limits.jobs_per_client:
            raise RefusedError(
                TOO_MANY,
                f"the server has {len(own)} jobs of this client",
                "fetch the results of one, and delete it",
                headers={"Retry-After": str(self._retry_seconds(own))},
            )
        if len(jobs) >= limits.jobs:
            raise busy(f"the server has {len(jobs)} jobs", self._retry_seconds(jobs))
        job = Job(self._folder, client, owner, self.disk, self._worker)
        self._jobs[job.id] = job
        self._report()
        return job

    def start(self, job: Job) -> None:
        """Queue a job that has all of its files. Raises RefusedError as `Job.require_wanted`."""
        job.require_wanted()
        job.state, job.asked_at = "queued", self._clock()
        self._waiting[_is_short(job)].put_nowait(job)
        self._report()

    def find(self, id_: str, owner: str) -> Job:
        """Return a job of an owner. Raises RefusedError (404) without one, or while its files are to come."""
        job = self._jobs.get(id_)
        if job is None or job.owner != owner or job.state == "uploading":
            hint = "see the id in the response to POST; jobs are removed after a time, and with the server"
            raise RefusedError(NOT_FOUND, "there is no such job", hint)
        job.asked_at = self._clock()
        return job

    @contextmanager
    def reading(self, job: Job) -> Iterator[None]:
        """Keep the files of a job during the block. Raises RefusedError as `find`."""
        self.find(job.id, job.owner)
        job.readers += 1
        try:
            yield
        finally:
            job.readers -= 1
            job.asked_at = self._clock()
            self._discard_removed(job)

    def remove(self, job: Job) -> None:
        """Cancel a job and remove its files, once it has stopped and nobody reads them."""
        self._jobs.pop(job.id, None)
        job.cancel()
        self._discard_removed(job)
        self._report()

    def stop(self) -> None:
        """Cancel all jobs, because the server stops and nobody could fetch their results."""
        for job in list(self._jobs.values()):
            self.remove(job)

    async def _work(self, waiting: "asyncio.Queue[Job | None]", thread: ThreadPoolExecutor) -> None:
        while job := await waiting.get():
            if job.state == "queued":
                await job.run(self.engine, thread)
                for row in job.rows:
                    self._metrics.job_images.labels(row.status).inc()
                job.ended_at = self._clock()
                self._discard_removed(job)
                self._report()

    async def _expire(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            for job in [one for one in self._jobs.values() if self._is_over(one)]:
                self.remove(job)

    def _is_over(self, job: Job) -> bool:
        """Return whether a job's results were kept long enough, or its client is gone."""
        if job.readers:
            return False
        now = self._clock()
        if job.ended_at is not None and now - job.ended_at > self.engine.limits.job_seconds:
            return True
        return job.idle_seconds is not None and now - job.asked_at > job.idle_seconds

    def _discard_removed(self, job: Job) -> None:
        """Remove the files of a job that was removed, unless they are in use."""
        if job.id in self._jobs or job.running or job.readers:
            return
        self.disk.give_back(job)
        with suppress(OSError):
            shutil.rmtree(job.folder)

    def _retry_seconds(self, jobs: Iterable[Job]) -> int:
        """Estimate the seconds until one of some jobs is removed."""
        return max(1, math.ceil(min(map(self._seconds_left, jobs), default=LONG_SECONDS)))

    def _seconds_left(self, job: Job) -> float:
        """Estimate the seconds until a job is removed; one that has ended stays as long again as it has."""
        if job.ended_at is None:
            return SHORT_SECONDS if _is_short(job) else LONG_SECONDS
        kept = self._clock() - job.ended_at
        return min(max(kept, SHORT_SECONDS), self.engine.limits.job_seconds - kept)

    def _report(self) -> None:
        counts = Counter(job.state for job in self._jobs.values())
        for state in ("uploading", "queued", "running", "done", "failed"):
            self._metrics.jobs.labels(state).set(counts[state])


def _is_short(job: Job) -> bool:
    return len(job.images) <= SHORT
