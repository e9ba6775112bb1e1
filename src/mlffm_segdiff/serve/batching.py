"""Requests that arrive while the network works are segmented together."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mlffm_segdiff.inference.reading.case_image import CaseImage
from mlffm_segdiff.segmenters.base import Sampling, Segmentation
from mlffm_segdiff.serve.metrics import Metrics

SegmentBatch = Callable[[Sampling, Sequence[CaseImage]], "asyncio.Future[list[Segmentation]]"]


@dataclass(frozen=True, eq=False)
class _Waiting:
    image: CaseImage
    sampling: Sampling
    segmentation: "asyncio.Future[Segmentation]"


class Batcher:
    """A queue for the network, which segments one batch at a time.

    A batch is the request that has waited longest and, in order, those with the same sampling, at most
    `largest` in all. Requests are never delayed to fill a batch. For a single event loop.
    """

    def __init__(self, segment_batch: SegmentBatch, largest: int, metrics: Metrics) -> None:
        self._segment_batch = segment_batch
        self._largest = largest
        self._metrics = metrics
        self._waiting: deque[_Waiting] = deque()
        self._arrived = asyncio.Event()
        self.batch_seconds = 0.0

    async def segment(self, image: CaseImage, sampling: Sampling) -> Segmentation:
        """Return the network's output for an image; raises what the network raised."""
        waiting = _Waiting(image, sampling, asyncio.get_running_loop().create_future())
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
        open_jobs = [one for one in self._waiting if not one.segmentation.cancelled()]
        batch = [one for one in open_jobs if one.sampling == open_jobs[0].sampling][: self._largest]
        self._waiting = deque(one for one in open_jobs if one not in batch)
        self._metrics.queue_length.set(len(self._waiting))
        if not self._waiting:
            self._arrived.clear()
        return batch

    async def _work(self, batch: Sequence[_Waiting]) -> None:
        self._metrics.batch_size.observe(len(batch))
        start = time.perf_counter()
        try:
            found = await self._segment_batch(batch[0].sampling, [one.image for one in batch])
        except Exception as error:
            for one in batch:
                if not one.segmentation.done():
                    one.segmentation.set_exception(error)
            return
        self.batch_seconds = time.perf_counter() - start
        self._metrics.model_seconds.observe(self.batch_seconds)
        for one, segmentation in zip(batch, found, strict=True):
            if not one.segmentation.done():
                one.segmentation.set_result(segmentation)
