"""Time of a segmentation and of a denoising step, compared with SwinUNETR and DermoSegDiff."""

from functools import partial
from typing import cast

import torch
from torch import nn

from mlffm_segdiff.benchmark.goals import GOALS, Findings, Result
from mlffm_segdiff.benchmark.roofline import ARITHMETIC, gigaflops
from mlffm_segdiff.benchmark.subject import BATCH, SAMPLES, STEPS, Subject, parameter_count
from mlffm_segdiff.benchmark.timing import Clock, Timing, Work, take_turns, time_ratio
from mlffm_segdiff.config.schema import SamplingConfig
from mlffm_segdiff.models.baselines.dermosegdiff import DermoSegDiff
from mlffm_segdiff.models.baselines.swin_unetr import SwinUNETR
from mlffm_segdiff.segmenters.diffusion import Denoiser
from mlffm_segdiff.segmenters.folding import fold_weight_standardisation

SWIN_FEATURES = 24
DERMOSEGDIFF = (128, 64, (1, 2, 3, 4, 5, 6), (1, 2, 4, 8, 16, 32))
PUBLISHED_STEPS = 250
FORMATS = (torch.contiguous_format, torch.channels_last)
MIN_SECONDS = 0.5


@torch.inference_mode()
def measure_segmentation(subject: Subject) -> Findings:
    """Time the default segmentation and a forward pass of SwinUNETR-24, at batch 1 and BATCH."""
    peer = swin_unetr_24(subject.dtype, subject.model.device)
    results: list[Result] = []
    timings: dict[str, Timing] = {}
    works: dict[str, Work] = {}
    for batch in (1, BATCH):
        image = subject.random_images(batch)
        pair: dict[str, Work] = {
            f"segmentation, batch {batch}": partial(subject.segmenter.segment, image, subject.model.sampling),
            f"SwinUNETR-24, batch {batch}": partial(peer, image.to(subject.dtype)),
        }
        choose_memory_format(peer, pair[f"SwinUNETR-24, batch {batch}"], subject.clock)
        found = take_turns(pair, subject.repeats, subject.clock)
        results.append(Result(GOALS[f"segmentation-{batch}"], time_ratio(*found.values())))
        timings, works = timings | found, works | pair
    parameters: dict[str, float] = {"ours": subject.parameters, "SwinUNETR-24": parameter_count(peer)}
    return Findings(tuple(results), timings, {ARITHMETIC: gigaflops(works), "parameters": parameters})


@torch.inference_mode()
def measure_denoising(subject: Subject) -> Findings:
    """Time one denoising step of each network at batch 1, and our samples against SAMPLES rows of a step."""
    peer = published_dermosegdiff(subject.dtype, subject.model.device)
    one: dict[str, Work] = {
        "DermoSegDiff step, batch 1": _their_step(subject, peer, 1),
        "denoise step, batch 1": _our_step(subject),
    }
    sampling = SamplingConfig(samples=SAMPLES, steps=STEPS, seed=subject.model.sampling.seed)
    ensemble: dict[str, Work] = {
        f"DermoSegDiff step, {SAMPLES} samples in a batch": _their_step(subject, peer, SAMPLES),
        f"segmentation, {STEPS} steps, {SAMPLES} samples, batch 1": partial(
            subject.segmenter.segment, subject.random_images(1), sampling
        ),
    }
    choose_memory_format(peer, _their_step(subject, peer, 1), subject.clock)
    step, whole = (
        take_turns(pair, subject.few_repeats, subject.clock, MIN_SECONDS) for pair in (one, ensemble)
    )
    results = (
        Result(GOALS["denoise-step"], time_ratio(*step.values())),
        Result(GOALS["ensemble"], time_ratio(*whole.values()).times(PUBLISHED_STEPS)),
    )
    return Findings(results, step | whole, {ARITHMETIC: gigaflops(one)})


def swin_unetr_24(dtype: torch.dtype, device: torch.device) -> nn.Module:
    """Build MONAI's SwinUNETR of feature size 24 with random weights, in evaluation mode."""
    network: nn.Module = SwinUNETR(SWIN_FEATURES).eval().to(device, dtype)
    return network


def published_dermosegdiff(dtype: torch.dtype, device: torch.device) -> DermoSegDiff:
    """Build DermoSegDiff as in its authors' configuration, weight standardisation folded in."""
    return fold_weight_standardisation(DermoSegDiff(*DERMOSEGDIFF).eval()).to(device, dtype)


def choose_memory_format(network: nn.Module, work: Work, clock: Clock) -> None:
    """Set the memory format of the network's weights in which ``work``, which calls it, is faster."""
    seconds = {}
    for memory_format in FORMATS:
        network.to(memory_format=memory_format)  # type: ignore[call-overload]
        work()
        start = clock()
        work()
        seconds[memory_format] = clock() - start
    network.to(memory_format=min(FORMATS, key=seconds.__getitem__))  # type: ignore[call-overload]


def _their_step(subject: Subject, peer: DermoSegDiff, rows: int) -> Work:
    """Return one denoising step of DermoSegDiff, with the time-independent part of its image path done."""
    image = subject.random_images(rows).to(subject.dtype)
    t = torch.full((rows,), PUBLISHED_STEPS // 2, device=image.device)
    return partial(peer.denoise, image[:, :1], t, peer.encode(image))


def _our_step(subject: Subject) -> Work:
    """Return one denoising step at batch 1, with the image encoded."""
    image = subject.random_images(1)
    network = cast(Denoiser, subject.segmenter.network)
    inputs = [image[:, :1]] * (2 if subject.segmenter.self_conditioning else 1)
    t = torch.full((1,), subject.segmenter.process.train_steps // 2, device=image.device)
    return partial(network.denoise, torch.cat(inputs, dim=1), t, network.encode(image))
