import asyncio
from collections.abc import Sequence

import numpy as np
import pytest

from mlffm_segdiff.config.schema import SamplingConfig
from mlffm_segdiff.inference.reading.case_image import CaseImage
from mlffm_segdiff.segmenters.interruption import InterruptedSamplingError
from mlffm_segdiff.segmenters.network_output import NetworkOutput
from mlffm_segdiff.serve.batching import Batcher, Wanted
from mlffm_segdiff.serve.metrics import Metrics

ONE, TWO = SamplingConfig(samples=1), SamplingConfig(samples=2)  # 4 and 8 evaluations


def image(name: str) -> CaseImage:
    return CaseImage(2, 2, np.zeros((2, 2, 3), np.uint8), name=name)


def found_in(one: CaseImage) -> NetworkOutput:
    """A segmentation that is recognised by its value."""
    value = np.full((2, 2), ord(one.name), np.float32)
    return NetworkOutput(value, value)


def name_of(found: NetworkOutput) -> str:
    return chr(int(found.probability[0, 0]))


class Network:
    """Answers on request; keeps the names of each call."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def __call__(
        self, sampling: SamplingConfig, images: Sequence[CaseImage], wanted: Wanted
    ) -> asyncio.Future[list[NetworkOutput]]:
        self.calls.append([one.name for one in images])
        self.images, self.wanted = images, wanted
        self.answer: asyncio.Future[list[NetworkOutput]] = asyncio.get_running_loop().create_future()
        return self.answer

    def finish(self) -> None:
        self.answer.set_result([found_in(one) for one in self.images])


async def settle() -> None:
    """Let all that can go on do so."""
    for _ in range(20):
        await asyncio.sleep(0)


async def ask_all(
    batcher: Batcher, asked: Sequence[tuple[str, SamplingConfig]]
) -> list[asyncio.Task[NetworkOutput]]:
    tasks = [asyncio.create_task(batcher.segment(image(name), sampling)) for name, sampling in asked]
    await settle()
    return tasks


def test_what_waits_goes_together_by_sampling_and_in_its_order() -> None:
    async def scene() -> None:
        network = Network()
        batcher = Batcher(network, 3, Metrics())
        work = asyncio.create_task(batcher.run())
        asked = [
            ("a", ONE),
            ("b", TWO),
            ("c", ONE),
            ("d", ONE),
            ("e", TWO),
            ("f", ONE),
            ("g", ONE),
            ("h", ONE),
        ]
        tasks = await ask_all(batcher, asked[:1])
        tasks += await ask_all(batcher, asked[1:])
        while not all(task.done() for task in tasks):
            network.finish()
            await settle()
        assert network.calls == [["a"], ["b", "e"], ["c", "d", "f"], ["g", "h"]]
        assert [name_of(task.result()) for task in tasks] == [name for name, _ in asked]
        work.cancel()

    asyncio.run(scene())


def test_heavy_requests_take_turns_with_others_and_have_smaller_batches() -> None:
    """More than 8 evaluations are heavy, and a batch has at most 64: two images of 28."""
    heavy = SamplingConfig(samples=7, steps=4)

    async def scene() -> None:
        network = Network()
        batcher = Batcher(network, 3, Metrics())
        work = asyncio.create_task(batcher.run())
        tasks = await ask_all(batcher, [("a", ONE)])
        tasks += await ask_all(batcher, [(name, heavy) for name in "bcdef"])
        tasks += await ask_all(batcher, [(name, ONE) for name in "ghij"])
        while not all(task.done() for task in tasks):
            network.finish()
            await settle()
        assert network.calls == [["a"], ["b", "c"], ["g", "h", "i"], ["d", "e"], ["j"], ["f"]]
        work.cancel()

    asyncio.run(scene())


def test_a_batch_is_wanted_until_all_of_its_clients_left() -> None:
    async def scene() -> None:
        network = Network()
        batcher = Batcher(network, 8, Metrics())
        work = asyncio.create_task(batcher.run())
        (first,) = await ask_all(batcher, [("a", ONE)])
        others = await ask_all(batcher, [("b", ONE), ("c", ONE)])
        network.finish()
        await first
        await settle()
        others[0].cancel()
        await settle()
        assert network.wanted()
        others[1].cancel()
        await settle()
        assert not network.wanted()
        network.answer.set_exception(InterruptedSamplingError())
        (last,) = await ask_all(batcher, [("d", ONE)])
        network.finish()
        assert name_of(await last) == "d"
        work.cancel()

    asyncio.run(scene())


def test_an_image_that_fails_does_not_harm_the_others_of_its_batch() -> None:
    async def scene() -> None:
        loop, calls = asyncio.get_running_loop(), []

        def network(
            _: SamplingConfig, images: Sequence[CaseImage], __: Wanted
        ) -> asyncio.Future[list[NetworkOutput]]:
            calls.append("".join(one.name for one in images))
            answer: asyncio.Future[list[NetworkOutput]] = loop.create_future()
            if "b" in calls[-1]:
                answer.set_exception(ZeroDivisionError("b is broken"))
            else:
                answer.set_result([found_in(one) for one in images])
            return answer

        batcher = Batcher(network, 8, Metrics())
        tasks = await ask_all(batcher, [(name, ONE) for name in "abc"])
        work = asyncio.create_task(batcher.run())
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(one) for one in found] == [NetworkOutput, ZeroDivisionError, NetworkOutput]
        assert (name_of(found[0]), name_of(found[2])) == ("a", "c")
        assert calls == ["abc", "a", "b", "c"]
        work.cancel()

    asyncio.run(scene())


def test_an_error_ends_only_its_batch() -> None:
    async def scene() -> None:
        network = Network()
        batcher = Batcher(network, 8, Metrics())
        work = asyncio.create_task(batcher.run())
        (first,) = await ask_all(batcher, [("a", ONE)])
        (second,) = await ask_all(batcher, [("b", ONE)])
        network.answer.set_exception(ZeroDivisionError("broken"))
        with pytest.raises(ZeroDivisionError):
            await first
        await settle()
        network.finish()
        assert name_of(await second) == "b"
        work.cancel()

    asyncio.run(scene())


def test_who_left_is_not_worked_for() -> None:
    async def scene() -> None:
        network = Network()
        batcher = Batcher(network, 8, Metrics())
        work = asyncio.create_task(batcher.run())
        first, *others = await ask_all(batcher, [("a", ONE)])
        others = await ask_all(batcher, [("b", ONE), ("c", ONE)])
        others[0].cancel()
        await settle()
        network.finish()
        await settle()
        network.finish()
        assert name_of(await first) == "a"
        assert name_of(await others[1]) == "c"
        assert network.calls == [["a"], ["c"]]
        work.cancel()

    asyncio.run(scene())
