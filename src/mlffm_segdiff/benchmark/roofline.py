"""Matrix and copy peak of the machine, and how much of it a segmentation reaches."""

import os
from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch.profiler import ProfilerActivity, profile

from mlffm_segdiff.benchmark.goals import GOALS, Findings, Result
from mlffm_segdiff.benchmark.subject import BATCH, Subject
from mlffm_segdiff.benchmark.timing import Timing, Work, figure, take_turns
from mlffm_segdiff.segmenters.cost import count_flops

ARITHMETIC = "arithmetic"
CPU_SIDES, GPU_SIDES = (1024, 2048, 4096), (4096, 8192)
COPY_BYTES = 2**28
SEGMENTATION, COPY = f"segmentation, batch {BATCH}", "copy"


@torch.inference_mode()
def measure_peak_share(subject: Subject, sides: Sequence[int] | None = None) -> Findings:
    """Time a segmentation at BATCH, matrix products and a copy, and profile the segmentation by operation.

    Args:
        subject: The model to measure.
        sides: Sides of the square matrices, by default CPU_SIDES or GPU_SIDES.
    """
    device = subject.model.device
    sides = sides or (CPU_SIDES if device.type == "cpu" else GPU_SIDES)
    segmentation = partial(subject.segmenter.segment, subject.random_images(BATCH), subject.model.sampling)
    works: dict[str, Work] = {
        SEGMENTATION: segmentation,
        COPY: copy_work(device),
        **matrix_works(subject.dtype, device, sides),
    }
    timings = take_turns(works, subject.repeats, subject.clock)
    flops, peak = count_flops(segmentation), matrix_peak(timings, sides)
    share = figure(flops / seconds / peak for seconds in timings[SEGMENTATION].seconds).times(100)
    roofline = {
        "matrix peak, GFLOP/s": peak / 1e9,
        "copy peak, GB/s": copy_peak(timings[COPY]) / 1e9,
        "segmentation, GFLOP": flops / 1e9,
        "segmentation, GFLOP/s": flops / timings[SEGMENTATION].median / 1e9,
    }
    shares = operation_shares(segmentation, device)
    return Findings(
        (Result(GOALS["peak-share"], share),),
        timings,
        {"roofline": roofline, "share of the segmentation's time, %": shares},
    )


def matrix_works(dtype: torch.dtype, device: torch.device, sides: Sequence[int]) -> dict[str, Work]:
    """Return products of two square matrices, by name; see `matrix_peak`."""
    works: dict[str, Work] = {}
    for side in sides:
        left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
        works[_matrix_name(side)] = partial(torch.mm, left, right, out=torch.empty_like(left))
    return works


def matrix_peak(timings: Mapping[str, Timing], sides: Sequence[int]) -> float:
    """Return the highest rate (FLOP/s) of products of these sides, each of 2 side^3 operations."""
    return max(2 * side**3 / timings[_matrix_name(side)].median for side in sides)


def _matrix_name(side: int) -> str:
    return f"matrix product, {side} x {side}"


def copy_work(device: torch.device, size: int = COPY_BYTES) -> Work:
    """Return a copy of ``size`` bytes within memory."""
    source = torch.ones(size // 4, device=device)
    target = torch.zeros_like(source)
    return lambda: target.copy_(source)


def copy_peak(timing: Timing, size: int = COPY_BYTES) -> float:
    """Return the memory traffic (bytes/s) of a timed copy, which reads and writes ``size`` bytes."""
    return 2 * size / timing.median


def gigaflops(works: Mapping[str, Work]) -> dict[str, float]:
    """Return the GFLOP of each work by `count_flops`, named with the unit."""
    return {f"{name}, GFLOP": count_flops(work) / 1e9 for name, work in works.items()}


def operation_shares(work: Work, device: torch.device, most: int = 12) -> dict[str, float]:
    """Return the share (%) of one call's time that each kind of operation takes, largest first.

    Args:
        work: The call to profile.
        device: On a CUDA GPU, the time of its kernels is measured.
        most: Number of kinds to list; the rest is summed as "others".
    """
    gpu = device.type == "cuda"
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # otherwise the profiler logs its start to the terminal
    with profile(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if gpu else [])]) as profiler:
        work()
    attribute = "self_device_time_total" if gpu else "self_cpu_time_total"
    times = {event.key: float(getattr(event, attribute)) for event in profiler.key_averages()}
    total = sum(times.values())
    largest = sorted(times, key=lambda key: -times[key])[:most]
    shares = {key: 100 * times[key] / total for key in largest if times[key] > 0}
    return {**shares, "others": 100 - sum(shares.values())}
