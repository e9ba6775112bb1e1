"""How much of the machine's matrix peak sampling reaches, and what takes the rest of its time."""

from collections.abc import Sequence
from functools import partial

import torch

from mlffm_segdiff.benchmark.goals import GOALS, Findings, Result
from mlffm_segdiff.benchmark.roofline import (
    MATRIX_SIDES,
    copy_peak,
    copy_work,
    count_flops,
    matrix_peak,
    matrix_works,
    operation_shares,
)
from mlffm_segdiff.benchmark.subject import BATCH, Subject
from mlffm_segdiff.benchmark.timing import Work, figure, take_turns

SAMPLING, COPY = f"sampling, batch {BATCH}", "copy"


@torch.inference_mode()
def measure_peak_share(subject: Subject, sides: Sequence[int] | None = None) -> Findings:
    """Time sampling at BATCH beside matrix products and a copy; profile it by kinds of operations.

    sides: of the matrices; by default MATRIX_SIDES of the device.
    """
    device = subject.model.device
    sides = sides or MATRIX_SIDES[device.type]
    sampling = partial(subject.segmenter.segment, subject.random_images(BATCH), subject.model.sampling)
    works: dict[str, Work] = {
        SAMPLING: sampling,
        COPY: copy_work(device),
        **matrix_works(subject.dtype, device, sides),
    }
    timings = take_turns(works, subject.repeats, subject.clock)
    flops, peak = count_flops(sampling), matrix_peak(timings, sides)
    share = figure(flops / seconds / peak for seconds in timings[SAMPLING].seconds).times(100)
    roofline = {
        "matrix peak, GFLOP/s": peak / 1e9,
        "copy peak, GB/s": copy_peak(timings[COPY]) / 1e9,
        "sampling, GFLOP": flops / 1e9,
        "sampling, GFLOP/s": flops / timings[SAMPLING].median / 1e9,
    }
    shares = operation_shares(sampling, device)
    return Findings(
        (Result(GOALS["peak-share"], share),),
        timings,
        {"roofline": roofline, "share of sampling's time, %": shares},
    )
