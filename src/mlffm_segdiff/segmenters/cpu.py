"""The CPU's name, cores and instruction sets; on Linux without importing torch."""

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CPUINFO = Path("/proc/cpuinfo")
FLAGS = {"avx2": "avx2", "avx512_f": "avx512f", "avx512_bf16": "avx512_bf16", "amx_bf16": "amx_bf16"}
"""Instruction sets as torch and as Linux call them."""


@dataclass(frozen=True)
class Cpu:
    """A CPU.

    Attributes:
        name: Its model, or the architecture.
        cores: Physical cores, or None if unknown.
        flags: Whether it has each instruction set of FLAGS.
    """

    name: str
    cores: int | None
    flags: Mapping[str, bool]

    @property
    def multiplies_bf16(self) -> bool:
        """Whether it multiplies bf16 natively."""
        return self.flags["avx512_bf16"] or self.flags["amx_bf16"]


def this_cpu() -> Cpu:
    """Return the CPU of this machine."""
    return _from_linux(CPUINFO.read_text(encoding="utf-8")) if CPUINFO.is_file() else _from_torch()


def _from_linux(text: str) -> Cpu:
    """Read /proc/cpuinfo, in which each logical CPU has a block of ``key : value`` lines."""
    blocks = [
        {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in block.splitlines())}
        for block in text.strip().split("\n\n")
    ]
    cores = {(block.get("physical id"), block["core id"]) for block in blocks if "core id" in block}
    flags = blocks[0].get("flags", "").split()
    return Cpu(
        blocks[0].get("model name") or platform.machine(),
        len(cores) or None,
        {flag: linux in flags for flag, linux in FLAGS.items()},
    )


def _from_torch() -> Cpu:
    import torch

    found: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # not in torch 2.9
    return Cpu(
        found.get("cpu_name") or platform.processor() or platform.machine(),
        found.get("num_physical_cores"),
        {flag: bool(found.get(flag)) for flag in FLAGS},
    )
