"""Facts about the machine: processor, GPUs, package versions."""

import os
import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import torch

FLAGS = ("avx2", "avx512_f", "avx512_bf16", "amx_bf16")
NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")
PACKAGES = ("mlffm-segdiff", "torch", "monai", "numpy")


def machine_facts(device: torch.device) -> dict[str, object]:
    """Return processor, instruction sets, cores, threads, device, system and package versions."""
    capabilities = torch.cpu.get_capabilities()
    return {
        "processor": capabilities.get("cpu_name") or platform.processor() or platform.machine(),
        "flags": {flag: bool(capabilities.get(flag)) for flag in FLAGS},
        "cores": capabilities.get("num_physical_cores"),
        "processors": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": device_name(device),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
    }


@dataclass(frozen=True)
class Gpu:
    """A GPU that torch can use: its name, memory in bytes and CUDA compute capability."""

    name: str
    memory: int
    capability: str


def gpus() -> list[Gpu]:
    """Return the GPUs that torch can use."""
    if not torch.cuda.is_available():
        return []
    found = map(torch.cuda.get_device_properties, range(torch.cuda.device_count()))
    return [Gpu(one.name, one.total_memory, f"{one.major}.{one.minor}") for one in found]


def why_no_gpu() -> str:
    """Return why torch cannot use a GPU, as far as known."""
    if torch.version.cuda is None and torch.version.hip is None:
        advice = "; it has a driver: install torch's CUDA build (pip install . without constraints.txt)"
        return f"torch is built without CUDA{advice if NVIDIA_DRIVER.exists() else ''}"
    return "torch supports GPUs, but finds no GPU or no driver"


def device_name(device: torch.device) -> str:
    """Return the name of the GPU, or "cpu"."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
