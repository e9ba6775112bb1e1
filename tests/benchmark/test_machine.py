import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from mlffm_segdiff import __version__
from mlffm_segdiff.benchmark import machine
from mlffm_segdiff.benchmark.machine import (
    Gpu,
    device_name,
    gpus,
    machine_facts,
    why_no_gpu,
)


def test_facts_are_plain_values_of_this_machine() -> None:
    facts = machine_facts(torch.device("cpu"))
    assert json.loads(json.dumps(facts)) == facts
    assert facts["processors"] == os.cpu_count()
    assert facts["threads"] == torch.get_num_threads()
    assert facts["device"] == "cpu"
    assert isinstance(facts["packages"], dict)
    assert facts["packages"]["mlffm-segdiff"] == __version__
    assert facts["packages"]["torch"] == torch.__version__


def test_instruction_sets_are_torchs(monkeypatch: pytest.MonkeyPatch) -> None:
    capabilities = {"cpu_name": "Fast One", "avx2": True, "amx_bf16": True, "num_physical_cores": 6}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    facts = machine_facts(torch.device("cpu"))
    assert facts["processor"] == "Fast One"
    assert facts["cores"] == 6
    assert facts["flags"] == {"avx2": True, "avx512_f": False, "avx512_bf16": False, "amx_bf16": True}


def test_a_gpu_has_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"GPU {device.index}")
    assert device_name(torch.device("cuda", 3)) == "GPU 3"


def test_gpus_are_those_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpus() == []
    properties = SimpleNamespace(name="Big One", total_memory=80 * 10**9, major=9, minor=0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: properties)
    assert gpus() == [Gpu("Big One", 80 * 10**9, "9.0")] * 2


def test_a_gpu_that_torch_cannot_use_is_reported_with_the_fix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = tmp_path / "version"
    monkeypatch.setattr(machine, "NVIDIA_DRIVER", driver)
    monkeypatch.setattr(torch.version, "cuda", None)
    assert why_no_gpu() == "torch is built without CUDA"
    driver.touch()
    assert "without constraints.txt" in why_no_gpu()
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    assert "driver" in why_no_gpu()
