"""Weights in safetensors files: reading, with checks for damage, and names that are paths, not hub ids."""

import re
from collections.abc import Mapping
from pathlib import Path

from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
)
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from mlffm_segdiff.config.errors import UserError, reason_of

HUB_ERRORS = (EntryNotFoundError, LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, OSError)
"""Errors of a download from the hub: no such repository or file, or no connection."""
HUB_ID = re.compile(r"\w[\w.-]*/[\w.-]+")
FILE_SUFFIXES = {".safetensors", ".bin", ".ckpt", ".pt", ".pth", ".onnx", ".xml", ".json", ".yaml"}
"""Distinguishes file names from hub ids, which may contain dots too."""
RUNS = "runs"
"""Folder of the runs that are started without a folder of their own."""
LARGEST_WEIGHT = 1e6
"""Magnitude that no weight of a working network reaches, but damaged exponents do; variances: its square."""


def is_hub_id(name: str) -> bool:
    """Return whether a name can be a hub id, OWNER/NAME, and is neither an existing nor a missing path.

    It is a missing path if its parent folder exists, if it begins with `RUNS`, or by its suffix.
    """
    path = Path(name)
    if not HUB_ID.fullmatch(name) or path.suffix in FILE_SUFFIXES or path.exists():
        return False
    return path.parts[0] != RUNS and not path.parent.is_dir()


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file as float32.

    Raises:
        UserError: The file is not a complete safetensors file, or see `require_sound`.
    """
    try:
        state = load_file(path)
    except (SafetensorError, OSError, RuntimeError, ValueError, KeyError) as error:
        raise UserError(
            f"{path} is not a safetensors file, or is cut off ({reason_of(error)}); copy or download it again"
        ) from None
    require_sound(state, str(path))
    return {name: value.float() for name, value in state.items()}


def largest_allowed(name: str) -> float:
    """Return the size that a saved weight or buffer may reach, by its name."""
    return LARGEST_WEIGHT ** (2 if name.endswith("running_var") else 1)


def require_sound(state: Mapping[str, Tensor], origin: str) -> None:
    """Raise UserError if weights are not finite, are larger than `LARGEST_WEIGHT`, or are all 0.

    Args:
        state: Weights by name; integers are not checked.
        origin: Origin of the weights, for the error.
    """
    fix = "restore or download the weights again, or train again if the training diverged"
    largest = {
        name: float(value.float().abs().max())
        for name, value in state.items()
        if value.is_floating_point() and value.numel()
    }
    for name, size in largest.items():
        if not size < float("inf"):
            raise UserError(f"{origin}: the weights {name!r} are not finite (NaN or Inf); {fix}")
        if size > largest_allowed(name):
            raise UserError(f"{origin}: the weights {name!r} reach {size:.3g}, probably by damage; {fix}")
    if largest and not any(largest.values()):
        raise UserError(f"{origin}: all weights are 0; {fix}")
