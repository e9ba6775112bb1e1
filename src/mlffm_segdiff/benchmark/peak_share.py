"""How much of the machine's matrix peak a segmentation reaches, and what takes the rest of its time."""

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

SEGMENTATION, COPY = f"segmentation, batch {BATCH}", "copy"


@torch.inference_mode()
def measure_peak_share(subject: Subject, sides: Sequence[int] | None = None) -> Findings:
    """Time a segmentation at BATCH next to matrix products and a copy; profile it by kinds of operations.

    sides: of the matrices; by default MATRIX_SIDES of the device.
    """
    device = subject.model.device
    sides = sides or MATRIX_SIDES[device.type]
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
