"""A denoise step, and a whole segmentation with uncertainty, against DermoSegDiff."""

from functools import partial
from typing import cast

import torch

from mlffm_segdiff.benchmark.goals import GOALS, Findings, Result
from mlffm_segdiff.benchmark.peers import PUBLISHED_STEPS, published_dermosegdiff, settle_format
from mlffm_segdiff.benchmark.roofline import ARITHMETIC, gigaflops
from mlffm_segdiff.benchmark.subject import SAMPLES, STEPS, Subject
from mlffm_segdiff.benchmark.timing import Work, take_turns, time_ratio
from mlffm_segdiff.models.baselines.dermosegdiff import DermoSegDiff
from mlffm_segdiff.segmenters.base import Sampling
from mlffm_segdiff.segmenters.diffusion import Denoiser

LEAST_SECONDS = 0.5


@torch.inference_mode()
def measure_denoising(subject: Subject) -> Findings:
    """Time one step of each at batch 1, and our ensemble against a step of SAMPLES rows of theirs."""
    peer = published_dermosegdiff(subject.dtype, subject.model.device)
    one: dict[str, Work] = {
        "DermoSegDiff step, batch 1": _their_step(subject, peer, 1),
        "denoise step, batch 1": _our_step(subject),
    }
    ensemble: dict[str, Work] = {
        f"DermoSegDiff step, {SAMPLES} samples in a batch": _their_step(subject, peer, SAMPLES),
        f"segmentation, {STEPS} steps, {SAMPLES} samples, batch 1": _our_ensemble(subject),
    }
    settle_format(peer, _their_step(subject, peer, 1), subject.clock)
    step, whole = (
        take_turns(pair, subject.few_repeats, subject.clock, LEAST_SECONDS) for pair in (one, ensemble)
    )
    results = (
        Result(GOALS["denoise-step"], time_ratio(*step.values())),
        Result(GOALS["ensemble"], time_ratio(*whole.values()).times(PUBLISHED_STEPS)),
    )
    return Findings(results, step | whole, {ARITHMETIC: gigaflops(one)})


def _their_step(subject: Subject, peer: DermoSegDiff, rows: int) -> Work:
    """Return one denoise step of DermoSegDiff; what of its image path does not know the time is done."""
    image = subject.random_images(rows).to(subject.dtype)
    t = torch.full((rows,), PUBLISHED_STEPS // 2, device=image.device)
    return partial(peer.denoise, image[:, :1], t, peer.encode(image))


def _our_step(subject: Subject) -> Work:
    """Return one denoise step of one row, its image encoded beforehand."""
    image = subject.random_images(1)
    network = cast(Denoiser, subject.segmenter.network)
    inputs = [image[:, :1]] * (2 if subject.segmenter.self_conditioning else 1)
    t = torch.full((1,), subject.segmenter.process.train_steps // 2, device=image.device)
    return partial(network.denoise, torch.cat(inputs, dim=1), t, network.encode(image))


def _our_ensemble(subject: Subject) -> Work:
    sampling = Sampling(SAMPLES, STEPS, subject.model.sampling.seed)
    return partial(subject.segmenter.segment, subject.random_images(1), sampling)
