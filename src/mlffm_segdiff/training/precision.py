"""Which number format a run computes in."""

from typing import Literal

import torch


def lightning_precision(precision: Literal["auto", "float32", "bf16"]) -> Literal["32-true", "bf16-mixed"]:
    """Return Lightning's name for a precision; ``auto`` is bf16 where that is multiplied natively."""
    if precision == "auto":
        precision = "bf16" if multiplies_bf16() else "float32"
    return "bf16-mixed" if precision == "bf16" else "32-true"


def multiplies_bf16() -> bool:
    """Return whether bf16 is faster than float32: a GPU with it, or a processor with AVX512-BF16 or AMX."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
