"""What the machine can do at most, and how much arithmetic and which operations a piece of work is."""

import os
from collections.abc import Mapping, Sequence

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from mlffm_segdiff.benchmark.timing import Timing, Work
from mlffm_segdiff.segmenters.packing import packed_flops

ARITHMETIC = "arithmetic"
MATRIX_SIDES = {"cpu": (1024, 2048, 4096), "cuda": (4096, 8192)}
COPY_BYTES = 2**28


def matrix_works(dtype: torch.dtype, device: torch.device, sides: Sequence[int]) -> dict[str, Work]:
    """Return products of two square matrices, by name; see `matrix_peak`."""
    return {_matrix_name(side): _matrix_work(side, dtype, device) for side in sides}


def matrix_peak(timings: Mapping[str, Timing], sides: Sequence[int]) -> float:
    """Return the most operations a second (FLOP/s) of products of these sides, each 2 side^3 operations."""
    return max(2 * side**3 / timings[_matrix_name(side)].median for side in sides)


def copy_work(device: torch.device, size: int = COPY_BYTES) -> Work:
    """Return a copy of ``size`` bytes from memory to memory."""
    source = torch.ones(size // 4, device=device)
    target = torch.zeros_like(source)
    return lambda: target.copy_(source)


def copy_peak(timing: Timing, size: int = COPY_BYTES) -> float:
    """Return the bytes a second of a timed copy, which reads ``size`` bytes and writes as many."""
    return 2 * size / timing.median


def count_flops(work: Work) -> int:
    """Return the floating-point operations of the matrix products and convolutions in one call."""
    with FlopCounterMode(display=False, custom_mapping=packed_flops()) as counter:
        work()
    total: int = counter.get_total_flops()
    return total


def parameter_count(network: nn.Module) -> int:
    """Return how many numbers a network learns."""
    return sum(parameter.numel() for parameter in network.parameters())


def gigaflops(works: Mapping[str, Work]) -> dict[str, float]:
    """Return what `count_flops` finds in each work, in GFLOP, under names that say so."""
    return {f"{name}, GFLOP": count_flops(work) / 1e9 for name, work in works.items()}


def operation_shares(work: Work, device: torch.device, most: int = 12) -> dict[str, float]:
    """Return the share in % of the time of one call that each kind of operation takes, largest first.

    The ``most`` largest kinds, and "others". On a GPU the time is that of its kernels.
    """
    gpu = device.type == "cuda"
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # else the profiler reports its start to the terminal
    with profile(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if gpu else [])]) as profiler:
        work()
    attribute = "self_device_time_total" if gpu else "self_cpu_time_total"
    times = {event.key: float(getattr(event, attribute)) for event in profiler.key_averages()}
    total = sum(times.values())
    largest = sorted(times, key=lambda key: -times[key])[:most]
    shares = {key: 100 * times[key] / total for key in largest if times[key] > 0}
    return {**shares, "others": 100 - sum(shares.values())}


def _matrix_name(side: int) -> str:
    return f"matrix product, {side} x {side}"


def _matrix_work(side: int, dtype: torch.dtype, device: torch.device) -> Work:
    left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    result = torch.empty_like(left)
    return lambda: torch.mm(left, right, out=result)
