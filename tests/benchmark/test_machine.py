import json
import os
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from mlffm_segdiff import __version__
from mlffm_segdiff.benchmark import machine
from mlffm_segdiff.benchmark.machine import (
    Gpu,
    gpus,
    has_gpu_driver,
    machine_facts,
    why_no_gpu,
)


def test_facts_are_plain_values_of_this_machine() -> None:
    facts = machine_facts("cpu", 3)
    assert json.loads(json.dumps(facts)) == facts
    assert facts["processors"] == os.cpu_count()
    assert facts["threads"] == 3
    assert facts["device"] == "cpu"
    assert isinstance(facts["packages"], dict)
    assert facts["packages"]["mlffm-segdiff"] == __version__
    assert facts["packages"]["torch"] == version("torch")


def test_a_package_that_is_not_installed_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "PACKAGES", ("torch", "no-such-package"))
    assert machine_facts("cpu", 1)["packages"] == {"torch": version("torch")}


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file by which Linux shows a GPU driver; it does not exist yet."""
    monkeypatch.setattr(machine, "GPU_DRIVERS", (tmp_path / "version",))
    monkeypatch.setattr("sys.platform", "linux")
    return tmp_path / "version"


def test_gpus_are_those_of_torch(driver: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    properties = SimpleNamespace(name="Big One", total_memory=80 * 10**9, major=9, minor=0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: properties)
    assert gpus() == [], "without a driver, torch is not asked"
    driver.touch()
    assert gpus() == [Gpu("Big One", 80 * 10**9, "9.0")] * 2
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpus() == []


def test_without_a_gpu_the_reason_is_reported_with_the_fix(
    driver: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert why_no_gpu() == "no GPU driver is loaded"
    driver.touch()
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(torch.version, "hip", None)
    assert why_no_gpu().startswith("torch is a CPU build; for an NVIDIA GPU: https://pytorch.org")
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    assert why_no_gpu() == "torch supports GPUs, but finds no GPU or no driver"


@pytest.mark.parametrize("system", ["darwin", "win32"])
def test_elsewhere_than_on_linux_torch_is_asked(
    driver: Path, system: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not has_gpu_driver()
    monkeypatch.setattr("sys.platform", system)
    assert has_gpu_driver()
