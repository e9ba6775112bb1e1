"""``mlffm-segdiff doctor``: check this machine and installation."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import typer

from mlffm_segdiff.cli.common import ExitStatus, JsonOption, Reporter, set_threads
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
        gpus: GPUs that torch can use.
        extras: Missing packages of each extra.
        weights: State of the default weights.
        cache: Disk use of the cache.
        faults: What is broken.
    """

    machine: Mapping[str, Any]
    multiplies_bf16: bool
    memory: int | None
    gpus: "list[Gpu]"
    extras: Mapping[str, list[str]]
    weights: str
    cache: "CacheUse"
    faults: tuple[str, ...]


def doctor(as_json: JsonOption = False) -> None:
    """Show CPU, threads, memory, GPUs, extras and how to install them, weights and cache.

    Exit status 1 if something is broken: the default weights cannot be read, the cache folder cannot be
    written, or torchvision is installed, which breaks required packages.
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
    from mlffm_segdiff.data.memory import memory_bytes
    from mlffm_segdiff.segmenters.device import best_device
    from mlffm_segdiff.segmenters.precision import has_bf16

    set_threads(None)
    weights, fault = _default_weights()
    return Health(
        machine_facts(best_device()),
        has_bf16(best_device()),
        memory_bytes(),
        gpus(),
        missing_packages(),
        weights,
        cache_use(),
        tuple(filter(None, [fault, _cache_fault(), _torchvision_fault()])),
    )


def _default_weights() -> tuple[str, str]:
    """Return the state of the packaged weights, and their fault, if any."""
    from mlffm_segdiff.segmenters.pretrained import DEFAULT, load_pretrained

    try:
        found = load_pretrained(DEFAULT)
    except UserError as error:
        return "unusable", f"the default weights: {error}"
    count = sum(parameter.numel() for parameter in found.segmenter.parameters())
    return f"{DEFAULT}: {found.recipe.model.name}, {count:,} parameters; non-commercial research only", ""


def _cache_fault() -> str:
    from mlffm_segdiff.data.atomic import atomic_write
    from mlffm_segdiff.data.cache import cache_root

    probe = cache_root() / "doctor"
    try:
        with atomic_write(probe) as path:
            path.touch()
        probe.unlink()
    except (UserError, OSError) as error:
        return f"the cache folder: {error}; set MLFFM_SEGDIFF_CACHE to another one"
    return ""


def _torchvision_fault() -> str:
    from mlffm_segdiff.config.extra import is_installed

    if not is_installed("torchvision"):
        return ""
    return "torchvision is installed, which breaks lightning and torchmetrics: pip uninstall torchvision"


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
