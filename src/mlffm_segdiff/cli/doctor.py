"""``mlffm-segdiff doctor``: check this machine and installation."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import typer

from mlffm_segdiff.cli.common import ExitStatus, JsonOption, Reporter
from mlffm_segdiff.cli.terminal import say
from mlffm_segdiff.config.errors import UserError

if TYPE_CHECKING:
    from mlffm_segdiff.benchmark.machine import Gpu
    from mlffm_segdiff.data.cache import CacheUse

GIGABYTE = 1e9


@dataclass(frozen=True)
class Health:
    """The state of the machine and the installation.

    Attributes:
        machine: Facts about the machine; see `machine_facts`.
        multiplies_bf16: Whether the device supports bf16 natively.
        memory: Memory in bytes, or None if unknown.
        devices: Values of --device that this machine has.
        gpus: CUDA GPUs that torch can use.
        extras: Missing packages of each extra.
        weights: State of the default weights.
        cache: Disk use of the cache.
        faults: What is broken.
    """

    machine: Mapping[str, Any]
    multiplies_bf16: bool
    memory: int | None
    devices: list[str]
    gpus: "list[Gpu]"
    extras: Mapping[str, list[str]]
    weights: str
    cache: "CacheUse"
    faults: tuple[str, ...]


def doctor(as_json: JsonOption = False) -> None:
    """Show CPU, threads, memory, GPUs, extras and how to install them, weights and cache.

    Exit status 1 if something is broken: the default weights cannot be read, the cache folder cannot be
    written, or an installed torchvision cannot be imported.
    """
    health = _examine()
    reporter = Reporter(json=as_json)
    reporter.result(asdict(health))
    if not as_json:
        _print(health, reporter)
    for fault in health.faults:
        say(f"broken: {fault}", err=True)
    if health.faults:
        raise typer.Exit(ExitStatus.FAULTS)


def _examine() -> Health:
    from mlffm_segdiff.benchmark.machine import gpus, machine_facts
    from mlffm_segdiff.config.extra import missing_packages
    from mlffm_segdiff.data.cache import cache_use
    from mlffm_segdiff.machine.memory import memory_bytes
    from mlffm_segdiff.machine.processors import default_threads, processors

    device, multiplies_bf16, devices = _devices()
    weights, fault = _default_weights()
    return Health(
        machine_facts(device, default_threads(processors())),
        multiplies_bf16,
        memory_bytes(),
        devices,
        gpus(),
        missing_packages(),
        weights,
        cache_use(),
        tuple(filter(None, [fault, _cache_fault(), _torchvision_fault()])),
    )


def _devices() -> tuple[str, bool, list[str]]:
    """Return the name of the device of ``auto``, whether it multiplies bf16, and all devices.

    Torch is imported only if there may be a GPU.
    """
    from mlffm_segdiff.benchmark.machine import has_gpu_driver
    from mlffm_segdiff.segmenters.cpu import this_cpu

    if not has_gpu_driver():
        return "cpu", this_cpu().multiplies_bf16, ["cpu"]
    from mlffm_segdiff.segmenters.device import describe_device, find_device, found_devices
    from mlffm_segdiff.segmenters.precision import has_bf16

    device = find_device()
    return describe_device(device), has_bf16(device), found_devices()


def _default_weights() -> tuple[str, str]:
    """Return the state of the packaged weights, and their fault, if any."""
    from mlffm_segdiff.segmenters.saved_weights import DEFAULT, describe_weights, require_default

    try:
        model, parameters = describe_weights(require_default())
    except UserError as error:
        return "unusable", f"the default weights: {error}"
    return f"{DEFAULT}: {model}, {parameters:,} parameters; non-commercial research only", ""


def _cache_fault() -> str:
    from mlffm_segdiff.data.cache import cache_root
    from mlffm_segdiff.files.atomic import atomic_write

    probe = cache_root() / "doctor"
    try:
        with atomic_write(probe) as path:
            path.touch()
        probe.unlink()
    except (UserError, OSError) as error:
        return f"the cache folder: {error}; set MLFFM_SEGDIFF_CACHE to another one"
    return ""


def _torchvision_fault() -> str:
    """Import an installed torchvision in another process, because one for another torch may even crash."""
    if find_spec("torchvision") is None:
        return ""
    done = subprocess.run(
        [sys.executable, "-c", "import torchvision"], capture_output=True, encoding="utf-8", errors="replace"
    )
    if done.returncode == 0:
        return ""
    reason = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
    return (
        f"torchvision cannot be imported ({reason}), which breaks lightning; install the one for your torch, "
        "or run: pip uninstall torchvision"
    )


def _print(health: Health, reporter: Reporter) -> None:
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for row in _rows(health):
        table.add_row(*row)
    reporter.console().print(table)


def _rows(health: Health) -> Iterator[tuple[str, str]]:
    from mlffm_segdiff.config.extra import pip_line

    machine = health.machine
    yield "packages", ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    yield "system", f"{machine['system']}, Python {machine['python']}"
    yield "CPU", f"{machine['processor']}, {machine['cores'] or 'unknown'} cores"
    flags = ", ".join(f"{flag} {'yes' if has else 'no'}" for flag, has in machine["flags"].items())
    yield "instructions", flags
    yield "bf16", "native" if health.multiplies_bf16 else "emulated, slower than float32"
    yield "threads", f"{machine['threads']} of {machine['processors']} by default"
    yield "memory", "unknown" if health.memory is None else _gigabytes(health.memory)
    yield "devices", ", ".join(health.devices)
    yield "GPU", _describe_gpus(health.gpus)
    for extra, missing in health.extras.items():
        yield (
            f"extra {extra}",
            f"missing {', '.join(missing)}: {pip_line(extra)}" if missing else "installed",
        )
    yield "weights", health.weights
    yield "cache", _describe_cache(health.cache)


def _describe_gpus(found: "list[Gpu]") -> str:
    from mlffm_segdiff.benchmark.machine import why_no_gpu

    words = [f"{one.name}, {_gigabytes(one.memory)}, capability {one.capability}" for one in found]
    return "; ".join(words) or f"none: {why_no_gpu()}"


def _describe_cache(cache: "CacheUse") -> str:
    free = "" if cache.free is None else f", {_gigabytes(cache.free)} free"
    return f"{cache.folder}: {cache.entries} entries, {_gigabytes(cache.size)}{free}; can be deleted"


def _gigabytes(count: int) -> str:
    return f"{count / GIGABYTE:.1f} GB"
