"""The default segmentation against one forward pass of a plain network."""

from functools import partial

import torch

from mlffm_segdiff.benchmark.goals import GOALS, Findings, Result
from mlffm_segdiff.benchmark.peers import settle_format, swin_unetr_24
from mlffm_segdiff.benchmark.roofline import ARITHMETIC, gigaflops, parameter_count
from mlffm_segdiff.benchmark.subject import BATCH, Subject
from mlffm_segdiff.benchmark.timing import Timing, Work, take_turns, time_ratio

BATCHES = (1, BATCH)
PARAMETERS = "parameters"


@torch.inference_mode()
def measure_segmentation(subject: Subject) -> Findings:
    """Time `Segmenter.segment`, schedulers and all, and SwinUNETR-24, at batch 1 and BATCH."""
    peer = swin_unetr_24(subject.dtype, subject.model.device)
    results: list[Result] = []
    timings: dict[str, Timing] = {}
    works: dict[str, Work] = {}
    for batch in BATCHES:
        image = subject.random_images(batch)
        pair: dict[str, Work] = {
            f"segmentation, batch {batch}": partial(subject.segmenter.segment, image, subject.model.sampling),
            f"SwinUNETR-24, batch {batch}": partial(peer, image.to(subject.dtype)),
        }
        settle_format(peer, pair[f"SwinUNETR-24, batch {batch}"], subject.clock)
        found = take_turns(pair, subject.repeats, subject.clock)
        results.append(Result(GOALS[f"segmentation-{batch}"], time_ratio(*found.values())))
        timings, works = timings | found, works | pair
    parameters: dict[str, float] = {"ours": subject.parameters, "SwinUNETR-24": parameter_count(peer)}
    return Findings(tuple(results), timings, {ARITHMETIC: gigaflops(works), PARAMETERS: parameters})
