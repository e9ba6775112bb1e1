"""The one model of a server, the queue before it, and the threads beside it."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar, Unpack

import torch

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.inference.model import Answer, Model, Picture, answer_pictures
from mlffm_segdiff.inference.pool import helper_count, helping_threads
from mlffm_segdiff.segmenters.base import Sampling
from mlffm_segdiff.segmenters.sampling import SamplingChoices
from mlffm_segdiff.serve.batching import Batcher
from mlffm_segdiff.serve.metrics import Metrics
from mlffm_segdiff.serve.problem import BUSY, RefusedError, refusal_of

Result = TypeVar("Result")


class ChooseSampling(Protocol):
    """How choices become a sampling: `chosen_sampling` with the weights' recipe."""

    def __call__(self, **choices: Unpack[SamplingChoices]) -> Sampling:
        """Return the sampling. Raises UserError for choices that the weights do not allow."""


@dataclass(frozen=True)
class Limits:
    """body_bytes: of one request. queue: requests in the house at once. batch: pictures in one call."""

    body_bytes: int = 64 * 2**20
    queue: int = 32
    batch: int = 8


class Engine:
    """Segments for one event loop; works while `running` is entered."""

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
        """Start the threads and the queue; at the end, end them."""
        loop, threads = asyncio.get_running_loop(), torch.get_num_threads()
        with helping_threads(helper_count()) as self._helpers, network_thread(threads) as network:

            def segment(sampling: Sampling, pictures: Sequence[Picture]) -> asyncio.Future[list[Answer]]:
                chosen = replace(self.model, sampling=sampling)
                return loop.run_in_executor(network, answer_pictures, chosen, pictures)

            self._batcher = Batcher(segment, self.limits.batch, self._metrics)
            self._worker = asyncio.create_task(self._batcher.run())
            try:
                yield
            finally:
                self._worker.cancel()

    @property
    def works(self) -> bool:
        """Whether requests are worked on."""
        return self._worker is not None and not self._worker.done()

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """Hold a place in the house. Raises RefusedError, with when to come again, where none is free."""
        if self._count >= self.limits.queue:
            seconds = max(1, math.ceil(self._batcher.batch_seconds * self._count / self.limits.batch))
            raise RefusedError(
                BUSY,
                f"{self._count} requests are in work or wait, as many as are taken",
                f"ask again in {seconds} s",
                headers={"Retry-After": str(seconds)},
            )
        self._count += 1
        self._metrics.in_flight.set(self._count)
        try:
            yield
        finally:
            self._count -= 1
            self._metrics.in_flight.set(self._count)

    def sampling(self, choices: SamplingChoices) -> Sampling:
        """Return the sampling asked for. Raises RefusedError for choices that the weights do not allow."""
        try:
            return self._choose(**choices)
        except UserError as error:
            raise refusal_of(error, "") from error

    def allows(self, choices: SamplingChoices) -> bool:
        """Return whether the weights allow these choices."""
        try:
            self._choose(**choices)
        except UserError:
            return False
        return True

    async def answer(self, picture: Picture, sampling: Sampling) -> Answer:
        """Return the network's answer to a picture, in a batch with others'."""
        return await self._batcher.ask(picture, sampling)

    async def aside(self, work: Callable[[], Result]) -> Result:
        """Return what the work gives, done in a thread beside the network."""
        return await asyncio.get_running_loop().run_in_executor(self._helpers, work)


@contextmanager
def network_thread(threads: int) -> Iterator[Executor]:
    """Give a pool of one thread, in which torch uses `threads` threads."""

    def begin() -> None:
        torch.get_num_threads()  # sets torch up in this thread; see `helping_threads`
        torch.set_num_threads(threads)

    with ThreadPoolExecutor(1, "network", begin) as pool:
        yield pool
