import pytest
import torch

from mlffm_segdiff.training.precision import lightning_precision, multiplies_bf16


def test_what_is_asked_for_is_taken() -> None:
    assert lightning_precision("float32") == "32-true"
    assert lightning_precision("bf16") == "bf16-mixed"


@pytest.mark.parametrize(
    ("capabilities", "fast"),
    [
        ({}, False),
        ({"avx512_f": True, "avx2": True}, False),
        ({"avx512_bf16": False, "amx_bf16": False}, False),
        ({"avx512_bf16": True}, True),
        ({"amx_bf16": True}, True),
    ],
)
def test_auto_is_bf16_where_the_processor_multiplies_it(
    capabilities: dict[str, bool], fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert multiplies_bf16() is fast
    assert lightning_precision("auto") == ("bf16-mixed" if fast else "32-true")


@pytest.mark.parametrize("native", [True, False])
def test_a_gpu_decides_where_there_is_one(native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: native)
    assert multiplies_bf16() is native


def test_the_capabilities_of_this_processor_are_named_as_we_ask_for_them() -> None:
    if torch.cpu.get_capabilities()["architecture"] == "x86_64":
        assert {"avx512_bf16", "amx_bf16"} <= set(torch.cpu.get_capabilities())
