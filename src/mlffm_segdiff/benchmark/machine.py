"""Facts about the machine: processor, GPUs, package versions; torch is imported only for a GPU."""

import os
import platform
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from mlffm_segdiff.segmenters.cpu import this_cpu

GPU_DRIVERS = tuple(
    map(Path, ("/proc/driver/nvidia/version", "/dev/dxg", "/dev/kfd", "/sys/module/xe", "/sys/module/i915"))
)
"""Files of the drivers of NVIDIA, of Windows for its Linux subsystem, of AMD and of Intel on Linux."""
PACKAGES = ("mlffm-segdiff", "torch", "monai", "numpy")


def machine_facts(device: str, threads: int) -> dict[str, object]:
    """Return processor, instruction sets, cores, threads, device, system and package versions.

    Args:
        device: Name of the device that networks run on; see `describe_device`.
        threads: CPU threads that torch uses.
    """
    cpu = this_cpu()
    return {
        "processor": cpu.name,
        "flags": dict(cpu.flags),
        "cores": cpu.cores,
        "processors": os.cpu_count(),
        "threads": threads,
        "device": device,
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": dict(_versions()),
    }


def _versions() -> Iterator[tuple[str, str]]:
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            yield name, version(name)


@dataclass(frozen=True)
class Gpu:
    """A GPU that torch can use: its name, memory in bytes and CUDA compute capability."""

    name: str
    memory: int
    capability: str


def has_gpu_driver() -> bool:
    """Return whether a GPU driver is loaded; elsewhere than on Linux, only torch knows, so True."""
    return sys.platform != "linux" or any(driver.exists() for driver in GPU_DRIVERS)


def gpus() -> list[Gpu]:
    """Return the GPUs that torch can use."""
    if not has_gpu_driver():
        return []
    import torch

    if not torch.cuda.is_available():
        return []
    found = map(torch.cuda.get_device_properties, range(torch.cuda.device_count()))
    return [Gpu(one.name, one.total_memory, f"{one.major}.{one.minor}") for one in found]


def why_no_gpu() -> str:
    """Return why torch cannot use a GPU, as far as known."""
    if not has_gpu_driver():
        return "no GPU driver is loaded"
    import torch

    if torch.version.cuda is None and torch.version.hip is None:
        return "torch is a CPU build; for an NVIDIA GPU: https://pytorch.org/get-started/locally"
    return "torch supports GPUs, but finds no GPU or no driver"
