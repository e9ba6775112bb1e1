"""Requests that come while the network works go through it together."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mlffm_segdiff.inference.model import Answer, Picture
from mlffm_segdiff.segmenters.base import Sampling
from mlffm_segdiff.serve.metrics import Metrics

Segment = Callable[[Sampling, Sequence[Picture]], "asyncio.Future[list[Answer]]"]


@dataclass(frozen=True, eq=False)
class _Waiting:
    picture: Picture
    sampling: Sampling
    answer: "asyncio.Future[Answer]"


class Batcher:
    """A queue before the network, of which one batch at a time is in work.

    A batch is the request that has waited longest and, in their order, those with the same sampling, at
    most `largest` in all. Nothing waits for company: an idle network begins at once. Lives in one event loop.
    """

    def __init__(self, segment: Segment, largest: int, metrics: Metrics) -> None:
        self._segment = segment
        self._largest = largest
        self._metrics = metrics
        self._waiting: deque[_Waiting] = deque()
        self._arrived = asyncio.Event()
        self.batch_seconds = 0.0

    async def ask(self, picture: Picture, sampling: Sampling) -> Answer:
        """Return the network's answer; raises what the network raised."""
        waiting = _Waiting(picture, sampling, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._metrics.queue_length.set(len(self._waiting))
        self._arrived.set()
        return await waiting.answer

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await self._arrived.wait()
            batch = self._next_batch()
            if batch:
                await self._work(batch)

    def _next_batch(self) -> list[_Waiting]:
        asked = [one for one in self._waiting if not one.answer.cancelled()]
        batch = [one for one in asked if one.sampling == asked[0].sampling][: self._largest]
        self._waiting = deque(one for one in asked if one not in batch)
        self._metrics.queue_length.set(len(self._waiting))
        if not self._waiting:
            self._arrived.clear()
        return batch

    async def _work(self, batch: Sequence[_Waiting]) -> None:
        self._metrics.batch_size.observe(len(batch))
        begun = time.perf_counter()
        try:
            answers = await self._segment(batch[0].sampling, [one.picture for one in batch])
        except Exception as error:
            for one in batch:
                if not one.answer.done():
                    one.answer.set_exception(error)
            return
        self.batch_seconds = time.perf_counter() - begun
        self._metrics.model_seconds.observe(self.batch_seconds)
        for one, answer in zip(batch, answers, strict=True):
            if not one.answer.done():
                one.answer.set_result(answer)
