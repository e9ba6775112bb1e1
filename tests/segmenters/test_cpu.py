import platform
import sys
from pathlib import Path

import pytest
import torch

from mlffm_segdiff.segmenters import cpu
from mlffm_segdiff.segmenters.cpu import FLAGS, Cpu, this_cpu

TWO_SOCKETS = """\
processor\t: 0
model name\t: Fast One
physical id\t: 0
core id\t\t: 0
flags\t\t: fpu avx2 avx512f amx_bf16 amx_tile

processor\t: 1
model name\t: Fast One
physical id\t: 0
core id\t\t: 0
flags\t\t: fpu avx2 avx512f amx_bf16 amx_tile

processor\t: 2
model name\t: Fast One
physical id\t: 1
core id\t\t: 0
flags\t\t: fpu avx2 avx512f amx_bf16 amx_tile

"""
ARM = "processor\t: 0\nFeatures\t: fp asimd bf16\n\nprocessor\t: 1\nFeatures\t: fp asimd bf16\n"


@pytest.fixture
def cpuinfo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(cpu, "CPUINFO", tmp_path / "cpuinfo")
    return tmp_path / "cpuinfo"


@pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64" or not hasattr(torch.cpu, "get_capabilities"),
    reason="needs an x86 CPU under Linux and torch 2.13",
)
def test_linux_and_torch_agree_on_this_cpu(cpuinfo: Path) -> None:
    by_torch = this_cpu()
    assert set(FLAGS) <= set(torch.cpu.get_capabilities())
    cpuinfo.write_text(Path("/proc/cpuinfo").read_text())
    assert this_cpu() == by_torch


def test_hyperthreads_are_one_core_and_sockets_have_their_own(cpuinfo: Path) -> None:
    cpuinfo.write_text(TWO_SOCKETS)
    flags = {"avx2": True, "avx512_f": True, "avx512_bf16": False, "amx_bf16": True}
    assert this_cpu() == Cpu("Fast One", 2, flags)


def test_what_linux_does_not_say_is_unknown(cpuinfo: Path) -> None:
    cpuinfo.write_text(ARM)
    assert this_cpu() == Cpu(platform.machine(), None, dict.fromkeys(FLAGS, False))


def test_elsewhere_torch_is_asked(cpuinfo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    capabilities = {"cpu_name": "Fast One", "avx2": True, "amx_bf16": True, "num_physical_cores": 6}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    flags = {"avx2": True, "avx512_f": False, "avx512_bf16": False, "amx_bf16": True}
    assert this_cpu() == Cpu("Fast One", 6, flags)
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    by_python = platform.processor() or platform.machine()
    assert this_cpu() == Cpu(by_python, None, dict.fromkeys(FLAGS, False))


@pytest.mark.parametrize(
    ("names", "has"),
    [((), False), (("avx512_f", "avx2"), False), (("avx512_bf16",), True), (("amx_bf16",), True)],
)
def test_bf16_needs_avx512_bf16_or_amx(names: tuple[str, ...], has: bool) -> None:
    assert Cpu("x", 1, {flag: flag in names for flag in FLAGS}).multiplies_bf16 is has
