"""Weights ready to segment images of any size."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Unpack

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from mlffm_segdiff.data.cache import resize_pil
from mlffm_segdiff.data.view import view_of
from mlffm_segdiff.segmenters.at_source import Map, segment_images
from mlffm_segdiff.segmenters.base import Sampling, Segmenter
from mlffm_segdiff.segmenters.calibration import Quality
from mlffm_segdiff.segmenters.device import best_device
from mlffm_segdiff.segmenters.folding import fold_batch_norm, fold_padding
from mlffm_segdiff.segmenters.packing import pack_convolutions
from mlffm_segdiff.segmenters.precision import (
    Clock,
    Precision,
    PrecisionChoice,
    Work,
    faster_precision,
    in_bfloat16,
)
from mlffm_segdiff.segmenters.pretrained import Pretrained, load_pretrained
from mlffm_segdiff.segmenters.sampling import SamplingChoices, chosen_sampling
from mlffm_segdiff.segmenters.second_look import look_again

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Model:
    """A segmenter on its device, in evaluation mode; pictures reach it at `size` x `size` pixels.

    quality: what is known of its masks' worth, where its weights were calibrated. precision: what its network
    computes in.
    """

    segmenter: Segmenter
    size: int
    sampling: Sampling
    device: torch.device
    quality: Quality | None = None
    precision: Precision = "float32"


@dataclass(frozen=True)
class Picture:
    """What is needed of an image.

    Attributes:
        small: SxSx3 uint8 RGB, for the network.
        height: Of the image itself, in pixels.
        width: Of the image itself, in pixels.
        view: hxwx3 uint8 RGB, see `view_of`, to take a second look at; without it there is none.
    """

    small: Pixels
    height: int
    width: int
    view: Pixels | None = None


@dataclass(frozen=True)
class Answer:
    """The network's answer to one picture: probability and spread, SxS float32 each; see `Segmentation`.

    Both are KxK where a second look made them finer, see `merge_maps`. samples: NxSxS float32, the N
    samples themselves; None where none were drawn.
    """

    picture: Picture
    probability: Map
    spread: Map
    samples: Map | None = None


def load_model(
    weights: str | Path | Pretrained,
    precision: PrecisionChoice = "float32",
    device: torch.device | None = None,
    batch_size: int = 1,
    **choices: Unpack[SamplingChoices],
) -> Model:
    """Return the weights, ready to segment.

    Args:
        weights: What `load_pretrained` takes or gave.
        precision: What the network computes in; auto is the faster one, see `measured_precision`.
        device: By default the GPU where there is one.
        batch_size: Images segmented at once, for which ``auto`` is measured.
        choices: As in `chosen_sampling`; by default the recipe's.

    Raises:
        UserError: As `load_pretrained` and `chosen_sampling`.
    """
    pretrained = weights if isinstance(weights, Pretrained) else load_pretrained(weights)
    sampling = chosen_sampling(pretrained.recipe, **choices)
    device, size = device or best_device(), pretrained.recipe.data.size
    segmenter = pretrained.segmenter.to(device).eval()
    image = torch.zeros(batch_size, 3, size, size, device=device)
    if precision == "auto":
        precision = measured_precision(segmenter, image, sampling)
    ready = ready_to_segment(segmenter, image[:1], sampling, precision)
    return Model(ready, size, sampling, device, pretrained.quality, precision)


def ready_to_segment(
    segmenter: Segmenter, image: Tensor, sampling: Sampling, precision: Precision
) -> Segmenter:
    """Return a segmenter that computes the same in fewer operations, for inference only.

    Batch normalisation is folded into convolutions; on a processor padding is too, and weights are laid out
    for oneDNN. Results differ by rounding only.

    Args:
        segmenter: In evaluation mode; it stays as it is.
        image: An example, B3HW, on the segmenter's device.
        sampling: A way of segmenting that suits the segmenter.
        precision: What the network is to compute in.
    """
    ready = fold_batch_norm(segmenter)
    on_processor = image.device.type == "cpu"
    if on_processor:
        ready = fold_padding(ready)
    if precision == "bf16":
        ready = in_bfloat16(ready, image)
    once = replace(sampling, samples=1, steps=1, mirror=False, fusion="mean")
    return pack_convolutions(ready, lambda: ready.segment(image, once)) if on_processor else ready


def measured_precision(
    segmenter: Segmenter, image: Tensor, sampling: Sampling, clock: Clock = time.perf_counter
) -> Precision:
    """Return the number format that a segmenter is faster in; see `faster_precision`.

    Args:
        segmenter: In evaluation mode.
        image: An example, B3HW, on the segmenter's device; the time depends on its shape.
        sampling: How it will segment.
        clock: Seconds.
    """

    @cache
    def ready(precision: Precision) -> Segmenter:
        return ready_to_segment(segmenter, image[:1], sampling, precision)

    formats: tuple[Precision, Precision] = ("float32", "bf16")
    works: dict[Precision, Work] = {
        name: partial(lambda name: ready(name).segment(image, sampling), name) for name in formats
    }
    return faster_precision(works, image.device, clock)


def shrink(image: Pixels, size: int) -> Picture:
    """Return an HxWx3 uint8 RGB image as the network takes it, resized as the training data were."""
    whole = Image.fromarray(image)
    return Picture(resize_pil(whole, size), whole.height, whole.width, view_of(whole))


def answer_pictures(model: Model, pictures: Sequence[Picture]) -> list[Answer]:
    """Return the answers to one batch of images, in their order; each depends on its own image only."""
    if not pictures:
        return []
    small = np.stack([picture.small for picture in pictures])
    found = segment_images(model.segmenter, small, model.sampling, model.device)
    samples = (
        [None] * len(pictures) if found.samples is None else found.samples[:, :, 0].swapaxes(0, 1).numpy()
    )
    probability, spread = list(found.probability[:, 0].numpy()), list(found.spread[:, 0].numpy())
    if model.sampling.second_look:  # which is for the posterior mean, whose spread is 0
        views = [picture.view for picture in pictures]
        probability = look_again(
            model.segmenter, np.stack(probability), views.__getitem__, model.sampling, model.device
        )
        spread = [np.zeros_like(one) for one in probability]
    return [Answer(*one) for one in zip(pictures, probability, spread, samples, strict=True)]
