"""A job: several images, segmented as `predict` does, and their files on disk."""

import asyncio
import logging
import secrets
from collections.abc import Sequence
from concurrent.futures import CancelledError, Executor, Future
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Literal

from prometheus_client import Gauge

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.schema import SamplingConfig
from mlffm_segdiff.data.case import Entry
from mlffm_segdiff.data.files import Pixels
from mlffm_segdiff.inference.analysis import Processing, require_supported
from mlffm_segdiff.inference.model import Model
from mlffm_segdiff.inference.outputs.predictions import Row
from mlffm_segdiff.inference.outputs.writers import Output, case_files, make_writers
from mlffm_segdiff.inference.predict import predict_files
from mlffm_segdiff.inference.prepared import View
from mlffm_segdiff.inference.reading.case_image import CaseImage, require_unique_names
from mlffm_segdiff.inference.reading.image_source import case_name
from mlffm_segdiff.segmenters.network_output import NetworkOutput
from mlffm_segdiff.serve.admission import busy
from mlffm_segdiff.serve.engine import Engine
from mlffm_segdiff.serve.job_response import ResponseWriter
from mlffm_segdiff.serve.options import RESPONSE, JobOptions
from mlffm_segdiff.serve.problem import UNUSABLE, RefusedError, refusal_of

PublicState = Literal["queued", "running", "done", "failed", "cancelled"]
State = Literal["uploading"] | PublicState
ENDED: tuple[State, ...] = ("done", "failed", "cancelled")
STOPPING_SECONDS = 5
"""After which a client may find a server again that is stopping."""


class JobCancelledError(Exception):
    """Ends the thread of a job that was cancelled."""


@dataclass(frozen=True)
class JobImage(Entry):
    """An uploaded image on disk, which has the client's name for it."""

    label: str = ""

    @property
    def name(self) -> str:
        """The client's name for the file."""
        return self.label

    def __str__(self) -> str:
        return self.label


class Disk:
    """The bytes of all jobs on disk, at most a number of them.

    Args:
        most: Largest total size in bytes.
        gauge: Gauge that reports the bytes in use.
    """

    def __init__(self, most: int, gauge: Gauge) -> None:
        self.most = most
        self.used = 0
        self._gauge = gauge

    def take(self, job: "Job", count: int) -> None:
        """Count more bytes of a job, or fewer. Raises RefusedError (503) if they are not free."""
        if count > 0 and self.used + count > self.most:
            detail = f"the files of all jobs use all of the {self.most / 2**20:g} MiB for them"
            raise busy(detail, 60)
        self.used += count
        job.bytes += count
        self._gauge.set(self.used)

    def give_back(self, job: "Job") -> None:
        """Count the bytes of a job as free."""
        self.take(job, -job.bytes)


class QueuedModel:
    """The model of a server for `predict_files`: images wait in the queue of the requests.

    Args:
        engine: Engine that segments the images, in the event loop that runs now.
        sampling: Sampling settings.
    """

    def __init__(self, engine: Engine, sampling: SamplingConfig) -> None:
        model = engine.model
        self.size, self.sampling, self.device = model.size, sampling, model.device
        self.quality, self.outliers, self.agreement = model.quality, model.outliers, model.agreement
        self.precision, self.threads = model.precision, model.threads
        self.identity = ""
        self._engine = engine
        self._loop = asyncio.get_running_loop()
        self._pending: Sequence[Future[NetworkOutput]] = ()
        self._stopped = False

    def segment(self, network_inputs: Sequence[Pixels], view: View) -> list[NetworkOutput]:
        """Segment images from another thread. Raises JobCancelledError after `stop`."""
        images = [
            CaseImage(self.size, self.size, pixels, view(number))
            for number, pixels in enumerate(network_inputs)
        ]
        asked = [self._engine.segment(image, self.sampling, of_job=True) for image in images]
        self._pending = [asyncio.run_coroutine_threadsafe(one, self._loop) for one in asked]
        if self._stopped:
            self.stop()
        try:
            return [one.result() for one in self._pending]
        except CancelledError:
            raise JobCancelledError from None

    def stop(self) -> None:
        """Cancel what is waiting in the queue, and all that is asked later."""
        self._stopped = True
        for one in self._pending:
            one.cancel()


class Job:
    """Images of one client, their state, and their results.

    Args:
        parent: Folder in which it makes its own.
        client: Client that it belongs to, see `client_of`; None for one on this machine or unknown.
        owner: Digest of the API key that started it; empty on a server without keys.
        disk: Count of the bytes of all jobs.
        worker: Name of this server among several, with which the id starts; empty for one server.

    Attributes:
        id: Job id that cannot be guessed: who knows it, and has the same API key, may read the results.
        folder: Folder of its files.
        images: Images in the order of the upload.
        rows: Table rows of the images that are done, the first of these.
        image_files: Files of each of these images, its mask first, relative to the folder of the output; none
            of a failed image.
        run_files: The files for all images; none before the job is done.
        state: State of the job; "failed" only for a fault of the server.
        detail: Why it failed.
        faults: Errors of outputs that are one file for all images.
        bytes: Size of its files on disk, in bytes.
        ended_at: When it ended, in seconds; None before.
        asked_at: When its client last asked for it, in seconds.
        readers: Number of responses that are read from it.
        running: Whether its files are read or written by `run`.
        idle_seconds: Seconds without a request after which it is removed; None keeps it.
        changed: Event that is set at the next change of rows or state.
    """

    def __init__(self, parent: Path, client: str | None, owner: str, disk: Disk, worker: str = "") -> None:
        self.id = f"{worker}-{secrets.token_urlsafe(16)}" if worker else secrets.token_urlsafe(16)
        self.folder = parent / self.id
        self.client = client
        self.owner = owner
        self.images: list[JobImage] = []
        self.rows: list[Row] = []
        self.image_files: list[list[str]] = []
        self.run_files: list[str] = []
        self.state: State = "uploading"
        self.detail = ""
        self.faults: list[str] = []
        self.bytes = 0
        self.ended_at: float | None = None
        self.asked_at = 0.0
        self.readers = 0
        self.running = False
        self.idle_seconds: float | None = None
        self.changed = asyncio.Event()
        self._disk = disk
        self._model: QueuedModel | None = None
        (self.folder / "uploads").mkdir(parents=True)

    @property
    def ended(self) -> bool:
        """Whether nothing more will change."""
        return self.state in ENDED

    def new_file(self, name: str) -> BinaryIO:
        """Return a new file for an image with this name, to be written."""
        image = JobImage(self.folder / "uploads" / str(len(self.images) + 1), label=name)
        self.images.append(image)
        return image.path.open("wb")

    def require_wanted(self) -> None:
        """Raise RefusedError (503) if it was cancelled during its upload, because the server is stopping."""
        if self.ended:
            raise busy("the server is stopping", STOPPING_SECONDS)

    def receive(self, count: int) -> None:
        """Count received bytes. Raises RefusedError as `Disk.take`."""
        self._disk.take(self, count)

    def plan(self, options: JobOptions, model: Model) -> None:
        """Set how the images are segmented. Raises RefusedError (422) if that is impossible."""
        if not self.images:
            raise RefusedError(UNUSABLE, "no image in the form", "send images: -F image=@FILE -F image=@FILE")
        self.idle_seconds = options.idle_seconds
        self.sampling: SamplingConfig = model.sampling
        write = tuple(filter(None, options.outputs.split(",")))
        try:
            self.processing: Processing = options.processing
            own = {RESPONSE: partial(ResponseWriter, sampling=self.sampling, processing=self.processing)}
            self.output = Output(self.folder / "results", write, own=own)
            require_unique_names(self.images)
            require_supported(model, self.processing)
            self._writers = make_writers(self.output, model.sampling)
        except UserError as error:
            raise refusal_of(error, "") from error

    @property
    def files(self) -> list[str]:
        """All files there are now, relative to the folder of the output."""
        return [*self.run_files, *chain.from_iterable(self.image_files)]

    async def run(self, engine: Engine, thread: Executor) -> None:
        """Segment the images; at the end the state is one of ENDED.

        Args:
            engine: Segments them.
            thread: Reads and writes files, and waits.
        """
        loop = asyncio.get_running_loop()
        self._set("running")
        self.running = True
        self._model = QueuedModel(engine, self.sampling)
        rows = predict_files(
            self.images,
            self._model,
            self.output,
            self.processing,
            engine.limits.batch,
            self.faults.append,
            most_pixels=engine.limits.pixels,
        )
        try:
            while row := await loop.run_in_executor(thread, next, rows, None):
                if self.state == "cancelled":
                    return
                self._add(row)
            if self.state == "running":
                names = [name for writer in self._writers.values() for name in writer.run_files]
                self.run_files = self._written([self.output.table_path.name, *names])
                self._set("done")
        except JobCancelledError:
            pass
        except RefusedError as refusal:
            self._fail(refusal.detail)
        except UserError as error:  # results cannot be written
            self._fail(error.problem.replace(str(self.folder), "TMPDIR"))
        except Exception:
            logging.getLogger("uvicorn.error").exception("a job failed")
            self._fail("the server has a fault; see its log")
        finally:
            await loop.run_in_executor(thread, rows.close)
            self.running = False

    def cancel(self) -> None:
        """Cancel the job; `running` is true until it has stopped."""
        if not self.ended:
            self._set("cancelled")
        if self._model is not None:
            self._model.stop()

    def _add(self, row: Row) -> None:
        image = self.images[len(self.rows)]
        self._disk.take(self, -image.path.stat().st_size)
        image.path.unlink()
        names = () if row.failed else case_files(case_name(image), self.output, self._writers)
        self.image_files.append(self._written(names))
        self.rows.append(row)
        self._tell()

    def _written(self, names: Sequence[str]) -> list[str]:
        """Return which of some files there are, and count their bytes."""
        found = [name for name in names if (self.output.folder / name).is_file()]
        self._disk.take(self, sum((self.output.folder / name).stat().st_size for name in found))
        return found

    def _fail(self, detail: str) -> None:
        self.detail = detail
        self._set("failed")

    def _set(self, state: State) -> None:
        self.state = state
        self._tell()

    def _tell(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()
