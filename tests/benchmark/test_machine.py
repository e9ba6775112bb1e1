import json
import os

import pytest
import torch

from mlffm_segdiff import __version__
from mlffm_segdiff.benchmark.machine import device_name, machine_facts


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
