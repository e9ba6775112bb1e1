"""What a figure was measured on."""

import os
import platform
from importlib.metadata import version

import torch

FLAGS = ("avx2", "avx512_f", "avx512_bf16", "amx_bf16")
PACKAGES = ("mlffm-segdiff", "torch", "monai", "diffusers", "numpy")


def machine_facts(device: torch.device) -> dict[str, object]:
    """Return processor, instruction sets, cores, threads, device, system and versions, as plain values."""
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


def device_name(device: torch.device) -> str:
    """Return the name of the GPU, or cpu."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
