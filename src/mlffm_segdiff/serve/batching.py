"""Requests that arrive while the network works are segmented together."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mlffm_segdiff.config.schema import SamplingConfig
from mlffm_segdiff.inference.reading.case_image import CaseImage
from mlffm_segdiff.segmenters.network_output import NetworkOutput
from mlffm_segdiff.serve.limits import BATCH_EVALUATIONS, HEAVY_EVALUATIONS, evaluations
from mlffm_segdiff.serve.metrics import Metrics

Wanted = Callable[[], bool]
SegmentBatch = Callable[[SamplingConfig, Sequence[CaseImage], Wanted], "asyncio.Future[list[NetworkOutput]]"]


@dataclass(frozen=True, eq=False)
class _Waiting:
    image: CaseImage
    sampling: SamplingConfig
    of_job: bool
    segmentation: "asyncio.Future[NetworkOutput]"

    @property
    def heavy(self) -> bool:
        return self.of_job or evaluations(self.sampling) > HEAVY_EVALUATIONS


class Batcher:
    """A queue for the network, which segments one batch at a time.

    A batch is the request that has waited longest and, in order, those with the same sampling, at most
    `largest` and as BATCH_EVALUATIONS allows. While both heavy and other requests wait, they take turns;
    images of jobs count as heavy.
    Requests are never delayed to fill a batch. A cancelled request is not computed, and a batch of which all
    were cancelled stops early. For a single event loop.

    Args:
        segment_batch: Segments images with a sampling in a thread; it may stop once its last argument, called
            in that thread, returns False.
        largest: Largest number of images in a batch.
        metrics: Metrics that report the queue.
    """

    def __init__(self, segment_batch: SegmentBatch, largest: int, metrics: Metrics) -> None:
        self._segment_batch = segment_batch
        self._largest = largest
        self._metrics = metrics
        self._waiting: deque[_Waiting] = deque()
        self._arrived = asyncio.Event()
        self._last_heavy = True

    async def segment(
        self, image: CaseImage, sampling: SamplingConfig, of_job: bool = False
    ) -> NetworkOutput:
        """Return the network's output for an image; raises what the network raised."""
        waiting = _Waiting(image, sampling, of_job, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._metrics.queue_length.set(len(self._waiting))
        self._arrived.set()
        return await waiting.segmentation

    async def run(self) -> None:
        """Segment batches until cancelled."""
        while True:
            await self._arrived.wait()
            batch = self._next_batch()
            if batch:
                await self._work(batch)

    def _next_batch(self) -> list[_Waiting]:
        unanswered = [one for one in self._waiting if not one.segmentation.cancelled()]
        batch: list[_Waiting] = []
        if unanswered:
            first = next((one for one in unanswered if one.heavy != self._last_heavy), unanswered[0])
            self._last_heavy = first.heavy
            affordable = max(1, BATCH_EVALUATIONS // evaluations(first.sampling))
            alike = [one for one in unanswered if (one.sampling, one.heavy) == (first.sampling, first.heavy)]
            batch = alike[: min(self._largest, affordable)]
        self._waiting = deque(one for one in unanswered if one not in batch)
        self._metrics.queue_length.set(len(self._waiting))
        if not self._waiting:
            self._arrived.clear()
        return batch

    async def _work(self, batch: Sequence[_Waiting]) -> None:
        self._metrics.batch_size.observe(len(batch))
        start = time.perf_counter()

        def wanted() -> bool:
            return not all(one.segmentation.cancelled() for one in batch)

        try:
            found = await self._segment_batch(batch[0].sampling, [one.image for one in batch], wanted)
        except Exception as error:
            await self._find_fault(batch, error)
            return
        self._metrics.model_seconds.observe(time.perf_counter() - start)
        for one, segmentation in zip(batch, found, strict=True):
            if not one.segmentation.done():
                one.segmentation.set_result(segmentation)

    async def _find_fault(self, batch: Sequence[_Waiting], error: Exception) -> None:
        """Report the error to the image that causes it: segment those of a batch one by one."""
        wanted = [one for one in batch if not one.segmentation.done()]
        if len(batch) > 1:
            for one in wanted:
                await self._work([one])
        elif wanted:
            wanted[0].segmentation.set_exception(error)
