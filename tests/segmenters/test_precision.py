import copy
from collections.abc import Callable

import pytest
import torch

from mlffm_segdiff.config.schema import SamplingConfig
from mlffm_segdiff.data.batch import Batch
from mlffm_segdiff.segmenters import precision as formats
from mlffm_segdiff.segmenters.base import BaseSegmenter
from mlffm_segdiff.segmenters.cpu import FLAGS, Cpu
from mlffm_segdiff.segmenters.precision import (
    TURNS,
    Precision,
    Work,
    faster_precision,
    has_bf16,
    in_bfloat16,
)

Make = Callable[..., BaseSegmenter]
CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)
UNET: dict[str, object] = {"name": "unet", "widths": [4, 8, 16], "residual_units": 1}
SECTIONS: dict[str, dict[str, dict[str, object]]] = {
    "diffusion": {},
    "self_conditioning": {"diffusion": {"self_conditioning": True}},
    "direct": {"model": UNET},
}


@pytest.mark.parametrize("sections", SECTIONS.values(), ids=SECTIONS)
@pytest.mark.parametrize(
    "sampling", [SamplingConfig(), SamplingConfig(samples=2, steps=3)], ids=["mean", "samples"]
)
def test_bfloat16_finds_nearly_the_same(
    sections: dict[str, dict[str, object]], sampling: SamplingConfig, trained: Make, batch: Batch
) -> None:
    segmenter = trained(**sections)
    half = in_bfloat16(segmenter, batch.image[:1])
    expected = segmenter.segment(batch.image, sampling)
    found = half.segment(batch.image, sampling)
    assert found.probability.dtype == torch.float32
    assert expected.probability.std() > 0.02
    torch.testing.assert_close(found.probability, expected.probability, rtol=0, atol=0.05)
    assert not torch.equal(found.probability, expected.probability)


@pytest.mark.parametrize("sections", SECTIONS.values(), ids=SECTIONS)
def test_only_the_network_is_in_bfloat16_and_the_original_is_unchanged(
    sections: dict[str, dict[str, object]], trained: Make, batch: Batch
) -> None:
    segmenter = trained(**sections)
    before = copy.deepcopy(segmenter.state_dict())
    half = in_bfloat16(segmenter, batch.image[:1])
    assert {p.dtype for p in half.parameters()} == {torch.bfloat16}
    assert all(value.dtype == torch.float32 for name, value in half.named_buffers() if name == "alpha_bar")
    assert not half.training
    assert {name: value.dtype for name, value in segmenter.state_dict().items()} == {
        name: value.dtype for name, value in before.items()
    }
    assert all(torch.equal(value, before[name]) for name, value in segmenter.state_dict().items())


@pytest.mark.parametrize("native", [True, False])
def test_bf16_of_a_processor(native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    flags = {**dict.fromkeys(FLAGS, False), "avx512_bf16": native}
    monkeypatch.setattr(formats, "this_cpu", lambda: Cpu("x", 1, flags))
    assert has_bf16(CPU) is native


@pytest.mark.parametrize("native", [True, False])
def test_bf16_of_a_gpu(native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: native)
    assert has_bf16(GPU) is native


class Machine:
    """Work that moves a clock: seconds[format][call] a call, the last again and again."""

    def __init__(self, float32: list[float], bf16: list[float]) -> None:
        self.now = 0.0
        self.calls: list[Precision] = []
        self.seconds: dict[Precision, list[float]] = {"float32": float32, "bf16": bf16}

    def clock(self) -> float:
        return self.now

    def run(self, name: Precision) -> None:
        number = self.calls.count(name)
        self.now += self.seconds[name][min(number, len(self.seconds[name]) - 1)]
        self.calls.append(name)

    def works(self) -> dict[Precision, Work]:
        return {"float32": lambda: self.run("float32"), "bf16": lambda: self.run("bf16")}


@pytest.fixture
def _native(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "has_bf16", lambda device: True)


@pytest.mark.usefixtures("_native")
@pytest.mark.parametrize(
    ("float32", "bf16", "expected"),
    [
        ([0.1], [0.05], "bf16"),
        ([0.125], [0.1125], "bf16"),  # exactly a tenth faster
        ([0.1], [0.091], "float32"),
        ([0.1], [0.1], "float32"),
        ([0.019], [0.026], "float32"),
        ([9.0, 0.1], [0.1], "float32"),  # the first call only warms up
        ([0.1], [9.0, 0.05], "bf16"),
        ([0.1], [9.0, 0.2, 0.15, 0.05, 0.2], "bf16"),  # other programs can only slow it down
    ],
)
def test_bf16_has_to_be_a_tenth_faster(float32: list[float], bf16: list[float], expected: str) -> None:
    machine = Machine(float32, bf16)
    assert faster_precision(machine.works(), CPU, machine.clock) == expected


@pytest.mark.usefixtures("_native")
@pytest.mark.parametrize(("seconds", "turns"), [(0.01, TURNS), (0.3, 2), (5.0, 1)])
def test_measuring_takes_turns_and_little_time(seconds: float, turns: int) -> None:
    machine = Machine([seconds], [seconds])
    faster_precision(machine.works(), CPU, machine.clock)
    assert machine.calls == ["float32", "bf16"] * (1 + turns)


@pytest.mark.parametrize(
    ("device", "native", "expected"),
    [(CPU, False, "float32"), (GPU, True, "bf16"), (GPU, False, "float32")],
)
def test_nothing_is_measured_where_it_is_known(
    device: torch.device, native: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "has_bf16", lambda device: native)
    machine = Machine([1.0], [1.0])
    assert faster_precision(machine.works(), device, machine.clock) == expected
    assert machine.calls == []
