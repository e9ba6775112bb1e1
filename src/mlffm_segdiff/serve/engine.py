"""The model of a server, its queue, and its helper threads."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from typing import TypeVar

import torch

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.schema import SamplingConfig
from mlffm_segdiff.inference.model import Model
from mlffm_segdiff.inference.pool import helper_count
from mlffm_segdiff.inference.reading.case_image import CaseImage
from mlffm_segdiff.segmenters.interruption import sampling_while
from mlffm_segdiff.segmenters.network_output import NetworkOutput
from mlffm_segdiff.segmenters.sampling import Overrides
from mlffm_segdiff.serve.admission import Clients, Lane
from mlffm_segdiff.serve.batching import Batcher, Wanted
from mlffm_segdiff.serve.limits import HEAVY_EVALUATIONS, LARGE_PIXELS, Limits, evaluations
from mlffm_segdiff.serve.metrics import Metrics
from mlffm_segdiff.serve.problem import UNUSABLE, RefusedError, refusal_of
from mlffm_segdiff.serve.upload_memory import UploadMemory

Result = TypeVar("Result")

ChooseSampling = Callable[[Overrides], SamplingConfig]
"""How overrides become a sampling: `chosen_sampling` with the recipe of the weights."""


class Engine:
    """Segments for one event loop, while `running` is entered.

    Attributes:
        model: Model that segments the images.
        limits: Limits of what is accepted.
        queue: Slots for requests.
        clients: Limit of each client.
        memory: Memory of uploads.

    Raises:
        UserError: The default sampling exceeds the limits.
    """

    def __init__(self, model: Model, choose: ChooseSampling, limits: Limits, metrics: Metrics) -> None:
        default = evaluations(model.sampling)
        if default > limits.evaluations:
            raise UserError(
                f"the default sampling takes {default} evaluations of the network per image, above the limit "
                f"of {limits.evaluations}; use fewer samples or steps, or raise --max-evaluations"
            )
        self.model = model
        self.limits = limits
        self.queue = Lane(limits.queue)
        self.clients = Clients(limits.per_client, self.queue.retry_seconds)
        self.memory = UploadMemory(limits.total_bytes, self.queue.retry_seconds)
        self._heavy = Lane(limits.heavy, "large images and long samplings")
        self._choose = choose
        self._metrics = metrics
        self._batcher: Batcher
        self._helpers: Executor
        self._large: Executor
        self._worker: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Start the threads and the queue, and stop them at the end."""
        loop, threads = asyncio.get_running_loop(), self.model.threads
        helpers = helper_count(threads)
        with ExitStack() as pools:
            self._helpers = pools.enter_context(ThreadPoolExecutor(helpers))
            self._large = pools.enter_context(ThreadPoolExecutor(max(1, helpers // 2)))
            network = pools.enter_context(network_thread(threads))

            def segment(
                sampling: SamplingConfig, images: Sequence[CaseImage], wanted: Wanted
            ) -> asyncio.Future[list[NetworkOutput]]:
                return loop.run_in_executor(network, self._segment_batch, sampling, images, wanted)

            self._batcher = Batcher(segment, self.limits.batch, self._metrics)
            self._worker = asyncio.create_task(self._batcher.run())
            try:
                yield
            finally:
                self._worker.cancel()

    def _segment_batch(
        self, sampling: SamplingConfig, images: Sequence[CaseImage], wanted: Wanted
    ) -> list[NetworkOutput]:
        chosen = replace(self.model, sampling=sampling)
        inputs, views = [one.network_input for one in images], [one.view for one in images]
        with sampling_while(wanted):
            return chosen.segment(inputs, views.__getitem__)

    @property
    def works(self) -> bool:
        """Whether requests are processed."""
        return self._worker is not None and not self._worker.done()

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Take a queue slot. Raises RefusedError (503, Retry-After) if the queue is full."""
        with self.queue.slot():
            self._metrics.in_flight.set(self.queue.taken)
            try:
                yield
            finally:
                self._metrics.in_flight.set(self.queue.taken - 1)

    @contextmanager
    def heavy_slot(self, pixels: int, sampling: SamplingConfig, inputs: int = 1) -> Iterator[None]:
        """Take one of the slots for heavy requests, if this is one.

        So heavy requests never fill the queue. Those like the default are not heavy. Raises RefusedError as
        `slot`.
        """
        usual = max(HEAVY_EVALUATIONS, evaluations(self.model.sampling))
        if pixels > LARGE_PIXELS or evaluations(sampling, inputs) > usual:
            with self._heavy.slot():
                yield
        else:
            yield

    def sampling(self, overrides: Overrides, inputs: int = 1) -> SamplingConfig:
        """Return the sampling of a request.

        Args:
            overrides: Values that replace those of the default sampling, by key.
            inputs: See `evaluations`.

        Raises:
            RefusedError: The weights do not support it, or it takes too many evaluations of the network.
        """
        try:
            sampling = self._choose(overrides)
        except UserError as error:
            raise refusal_of(error, "") from error
        count, most = evaluations(sampling, inputs), self.limits.evaluations
        if count > most:
            repeats = ", each for four mirror images," if sampling.mirror else ""
            repeats += ", for the image and its box," if inputs > 1 else ""
            raise RefusedError(
                UNUSABLE,
                f"sampling.samples={sampling.samples} with sampling.steps={sampling.steps}{repeats} takes "
                f"{count} evaluations of the network, above the limit of {most}",
                "use fewer samples or steps, or start the server with --max-evaluations",
            )
        return sampling

    def allows(self, overrides: Overrides) -> bool:
        """Return whether the weights support these overrides."""
        try:
            self._choose(overrides)
        except UserError:
            return False
        return True

    async def segment(
        self, image: CaseImage, sampling: SamplingConfig, of_job: bool = False
    ) -> NetworkOutput:
        """Return the network's output for an image, computed in a batch with others.

        Images of jobs take turns with those of requests.
        """
        return await self._batcher.segment(image, sampling, of_job)

    async def run_in_thread(self, work: Callable[[], Result], pixels: int = 0) -> Result:
        """Return the result of work done in a thread, while the network continues.

        Work on images above LARGE_PIXELS has threads of its own.
        """
        pool = self._large if pixels > LARGE_PIXELS else self._helpers
        return await asyncio.get_running_loop().run_in_executor(pool, work)


@contextmanager
def network_thread(threads: int) -> Iterator[Executor]:
    """Yield a pool of one thread, in which torch uses `threads` threads."""

    def start() -> None:
        torch.get_num_threads()  # sets torch up in this thread; later it would undo the next line
        torch.set_num_threads(threads)

    with ThreadPoolExecutor(1, "network", start) as pool:
        yield pool
