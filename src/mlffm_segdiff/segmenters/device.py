"""Where networks run: the CPU or a GPU, by name."""

import difflib
import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from mlffm_segdiff.config.errors import UserError

if TYPE_CHECKING:
    import torch

AUTO = "auto"
KINDS = (AUTO, "cpu", "cuda", "mps", "xpu")
NUMBERED = ("cuda", "xpu")
"""Kinds of which a machine can have several."""


def device_name(text: str) -> str:
    """Return the name of a device in lower case, without looking whether this machine has it.

    Args:
        text: ``auto``, ``cpu``, ``cuda``, ``cuda:N``, ``mps``, ``xpu`` or ``xpu:N``, in any case.

    Raises:
        UserError: It is none of these.
    """
    name = text.strip().lower()
    kind, colon, number = name.partition(":")
    if kind in KINDS and (not colon or (kind in NUMBERED and re.fullmatch(r"\d{1,3}", number))):
        return name
    close = difflib.get_close_matches({"gpu": "cuda"}.get(kind, kind), KINDS, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    raise UserError(f"device {text!r}: {hint}choose auto, cpu, cuda, cuda:N, mps or xpu")


def find_device(device: "str | torch.device" = AUTO) -> "torch.device":
    """Return a device of this machine.

    Args:
        device: As for `device_name`. ``auto`` is a CUDA GPU if there is one, otherwise the CPU; ``mps`` and
            ``xpu`` are used only on request, as the package has not been tried on them.

    Raises:
        UserError: The name is wrong, or this machine has no such device.
    """
    import torch

    found = found_devices()
    if isinstance(device, torch.device) and device.type in {name.partition(":")[0] for name in found}:
        return device
    name = device_name(str(device))
    if name == AUTO:
        name = "cuda" if "cuda:0" in found else "cpu"
    if name not in found and f"{name}:0" not in found:
        raise UserError(f"no device {name}: this machine has {', '.join(found)}; use --device cpu")
    return torch.device(name)


def is_on(place: "torch.device", wanted: "torch.device") -> bool:
    """Return whether two devices are the same.

    Args:
        place: Device with its number.
        wanted: Device; without a number it is any of its kind.
    """
    return place.type == wanted.type and wanted.index in (None, place.index)


def found_devices() -> list[str]:
    """Return the names of the devices that torch can use on this machine, the CPU first."""
    import torch

    found = ["cpu"]
    if torch.cuda.is_available():
        found += [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        found.append("mps")
    if torch.xpu.is_available():
        found += [f"xpu:{number}" for number in range(torch.xpu.device_count())]
    return found


def describe_device(device: "torch.device") -> str:
    """Return the name of a CUDA GPU's model, or the kind of any other device."""
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def device_clock(device: "torch.device") -> Callable[[], float]:
    """Return a clock in seconds that waits for a GPU to finish its work."""
    import torch

    if device.type == "cpu":
        return time.perf_counter

    def read() -> float:
        torch.accelerator.synchronize(device)
        return time.perf_counter()

    return read
