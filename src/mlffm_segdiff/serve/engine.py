"""The model of a server, its queue, and its helper threads."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

import torch

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.inference.model import Model, segment_images
from mlffm_segdiff.inference.pool import helper_count, helping_threads
from mlffm_segdiff.inference.reading.case_image import CaseImage
from mlffm_segdiff.segmenters.base import Sampling, Segmentation
from mlffm_segdiff.segmenters.sampling import Overrides
from mlffm_segdiff.serve.batching import Batcher
from mlffm_segdiff.serve.metrics import Metrics
from mlffm_segdiff.serve.problem import BUSY, RefusedError, refusal_of

Result = TypeVar("Result")

ChooseSampling = Callable[[Overrides], Sampling]
"""How overrides become a sampling: `chosen_sampling` with the recipe of the weights."""


@dataclass(frozen=True)
class Limits:
    """What a server accepts.

    Attributes:
        body_bytes: Of one request.
        queue: Requests in progress or waiting.
        batch: Images in one call of the network.
        pixels: Of one image.
    """

    body_bytes: int = 64 * 2**20
    queue: int = 32
    batch: int = 8
    pixels: int = 50_000_000


class Engine:
    """Segments for one event loop, while `running` is entered."""

    def __init__(self, model: Model, choose: ChooseSampling, limits: Limits, metrics: Metrics) -> None:
        self.model = model
        self.limits = limits
        self._choose = choose
        self._metrics = metrics
        self._count = 0
        self._batcher: Batcher
        self._helpers: Executor
        self._worker: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Start the threads and the queue, and stop them at the end."""
        loop, threads = asyncio.get_running_loop(), torch.get_num_threads()
        with helping_threads(helper_count()) as self._helpers, network_thread(threads) as network:

            def segment(
                sampling: Sampling, images: Sequence[CaseImage]
            ) -> asyncio.Future[list[Segmentation]]:
                chosen = replace(self.model, sampling=sampling)
                inputs, views = [one.network_input for one in images], [one.view for one in images]
                return loop.run_in_executor(network, segment_images, chosen, inputs, views.__getitem__)

            self._batcher = Batcher(segment, self.limits.batch, self._metrics)
            self._worker = asyncio.create_task(self._batcher.run())
            try:
                yield
            finally:
                self._worker.cancel()

    @property
    def works(self) -> bool:
        """Whether requests are processed."""
        return self._worker is not None and not self._worker.done()

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Reserve a queue slot. Raises RefusedError (503, Retry-After) if the queue is full."""
        if self._count >= self.limits.queue:
            seconds = max(1, math.ceil(self._batcher.batch_seconds * self._count / self.limits.batch))
            raise RefusedError(
                BUSY,
                f"the queue is full: {self._count} requests are in progress or waiting",
                f"try again in {seconds} s",
                headers={"Retry-After": str(seconds)},
            )
        self._count += 1
        self._metrics.in_flight.set(self._count)
        try:
            yield
        finally:
            self._count -= 1
            self._metrics.in_flight.set(self._count)

    def sampling(self, overrides: Overrides) -> Sampling:
        """Return the sampling of a request. Raises RefusedError if the weights do not support it."""
        try:
            return self._choose(overrides)
        except UserError as error:
            raise refusal_of(error, "") from error

    def allows(self, overrides: Overrides) -> bool:
        """Return whether the weights support these overrides."""
        try:
            self._choose(overrides)
        except UserError:
            return False
        return True

    async def segment(self, image: CaseImage, sampling: Sampling) -> Segmentation:
        """Return the network's output for an image, computed in a batch with others."""
        return await self._batcher.segment(image, sampling)

    async def run_in_thread(self, work: Callable[[], Result]) -> Result:
        """Return the result of work done in a thread, while the network continues."""
        return await asyncio.get_running_loop().run_in_executor(self._helpers, work)


@contextmanager
def network_thread(threads: int) -> Iterator[Executor]:
    """Yield a pool of one thread, in which torch uses `threads` threads."""

    def start() -> None:
        torch.get_num_threads()  # sets torch up in this thread; see `helping_threads`
        torch.set_num_threads(threads)

    with ThreadPoolExecutor(1, "network", start) as pool:
        yield pool
