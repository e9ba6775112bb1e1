"""No GPU is here: torch's questions about devices are answered by stand-ins."""

from collections.abc import Callable

import pytest
import torch

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.inference.segmenter import Segmenter, segment
from mlffm_segdiff.segmenters.device import (
    describe_device,
    device_clock,
    device_name,
    find_device,
    found_devices,
    is_on,
)
from mlffm_segdiff.segmenters.precision import has_bf16

Machine = Callable[..., None]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Let torch find this many CUDA GPUs and Intel GPUs, and perhaps one of Apple."""

    def have(cuda: int = 0, xpu: int = 0, mps: bool = False) -> None:
        for module, count in ((torch.cuda, cuda), (torch.xpu, xpu)):
            monkeypatch.setattr(module, "is_available", lambda count=count: count > 0)
            monkeypatch.setattr(module, "device_count", lambda count=count: count)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    return have


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("CPU", "cpu"),
        ("Auto", "auto"),
        (" cuda:1 ", "cuda:1"),
        ("CUDA", "cuda"),
        ("Mps", "mps"),
        ("xpu", "xpu"),
    ],
)
def test_names_are_read_in_any_case(text: str, name: str) -> None:
    assert device_name(text) == name


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("cuad", "did you mean cuda?"),
        ("cuda0", "did you mean cuda?"),
        ("gpu", "did you mean cuda?"),
        ("gpu:1", "did you mean cuda?"),
        ("mp", "did you mean mps?"),
        ("cuda:first", "choose auto, cpu, cuda, cuda:N"),
        ("cpu:1", "choose auto"),
        ("quantum", "choose auto"),
        ("", "choose auto"),
    ],
)
def test_a_typo_gets_a_hint(text: str, hint: str) -> None:
    with pytest.raises(UserError, match=f"device '{text}': .*") as caught:
        device_name(text)
    assert hint in str(caught.value)


@pytest.mark.parametrize(
    ("place", "wanted", "same"),
    [
        ("cuda:0", "cuda", True),
        ("cuda:1", "cuda:1", True),
        ("cuda:0", "cuda:1", False),
        ("cpu", "cuda", False),
    ],
)
def test_a_device_without_number_is_any_of_its_kind(place: str, wanted: str, same: bool) -> None:
    assert is_on(torch.device(place), torch.device(wanted)) is same


def test_auto_is_cuda_if_there_is_one_and_otherwise_the_cpu(machine: Machine) -> None:
    machine(cuda=2)
    assert find_device("auto") == torch.device("cuda")
    machine(mps=True, xpu=1)
    assert find_device() == torch.device("cpu")


def test_all_devices_are_found(machine: Machine) -> None:
    machine()
    assert found_devices() == ["cpu"]
    machine(cuda=2, xpu=1, mps=True)
    assert found_devices() == ["cpu", "cuda:0", "cuda:1", "mps", "xpu:0"]
    for name in ("cpu", "cuda", "cuda:1", "mps", "xpu", "xpu:0"):
        assert find_device(name.upper()) == torch.device(name)
    assert find_device(torch.device("mps", 0)) == torch.device("mps", 0), "where a model's parameters are"


@pytest.mark.parametrize(
    ("gpus", "name", "message"),
    [
        ({}, "cuda", "no device cuda: this machine has cpu; use --device cpu"),
        ({"cuda": 1}, "cuda:1", "no device cuda:1: this machine has cpu, cuda:0; use --device cpu"),
        ({"mps": True}, "xpu", "no device xpu: this machine has cpu, mps; use --device cpu"),
    ],
)
def test_what_is_not_there_is_named_with_what_is(
    gpus: dict[str, int], name: str, message: str, machine: Machine
) -> None:
    machine(**gpus)
    with pytest.raises(UserError) as caught:
        find_device(name)
    assert str(caught.value) == message
    with pytest.raises(UserError, match=f"no device {name}"):
        segment([], device=name)
    with pytest.raises(UserError, match=f"no device {name}"):
        Segmenter.from_pretrained("default", device=name)


def test_a_segmenter_is_loaded_onto_its_device(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(cuda=2)
    moved = []
    monkeypatch.setattr(Segmenter, "to", lambda self, device: moved.append(device) or self)
    Segmenter.from_pretrained("default", device="auto")
    Segmenter.from_pretrained("default", device="cuda:1")
    Segmenter.from_pretrained("default")
    assert moved == [torch.device("cuda"), torch.device("cuda", 1), torch.device("cpu")]


def test_a_gpu_has_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"GPU {device.index}")
    assert describe_device(torch.device("cuda", 3)) == "GPU 3"
    assert describe_device(torch.device("mps")) == "mps"


@pytest.mark.parametrize("kind", ["cuda", "mps", "xpu"])
def test_the_clock_of_a_gpu_waits_for_it(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    waits = []
    monkeypatch.setattr(torch.accelerator, "synchronize", waits.append)
    gpu, clock = torch.device(kind), device_clock(torch.device(kind))
    first, second = clock(), clock()
    assert waits == [gpu, gpu]
    assert second > first
    device_clock(torch.device("cpu"))()
    assert len(waits) == 2


@pytest.mark.parametrize("native", [True, False])
def test_bf16_is_a_question_to_the_device_itself(native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.xpu, "is_bf16_supported", lambda: native)
    assert has_bf16(torch.device("xpu")) is native
    assert not has_bf16(torch.device("mps")), "whatever the CPU has"
