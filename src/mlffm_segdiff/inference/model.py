"""A segmenter prepared for inference, and its output for images."""

import copy
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.schema import PrecisionChoice, SamplingConfig
from mlffm_segdiff.data.files import Pixels
from mlffm_segdiff.inference.prepared import View
from mlffm_segdiff.segmenters.agreement import AgreementPredictor
from mlffm_segdiff.segmenters.base import BaseSegmenter, segment_batch
from mlffm_segdiff.segmenters.calibration import Quality
from mlffm_segdiff.segmenters.device import AUTO, find_device
from mlffm_segdiff.segmenters.folding import fold_batch_norm, fold_padding
from mlffm_segdiff.segmenters.network_output import NetworkOutput
from mlffm_segdiff.segmenters.outliers import OutlierDetector
from mlffm_segdiff.segmenters.packing import pack_convolutions
from mlffm_segdiff.segmenters.precision import (
    Clock,
    Precision,
    Work,
    faster_precision,
    in_bfloat16,
)
from mlffm_segdiff.segmenters.pretrained import Pretrained, load_pretrained
from mlffm_segdiff.segmenters.sampling import Overrides, chosen_sampling
from mlffm_segdiff.segmenters.second_look import look_again

MAX_ROWS = 256
"""Samples of all images that are computed at once, if these are more than one image."""
OWN = ("torch.", "mlffm_segdiff.")
"""Start of the modules whose layers need no check; every model of this package has a test instead."""
ROUNDING = 0.01
"""Difference that is only rounding, as a share of the range of probabilities; TF32 of GPUs is that coarse."""


@dataclass(frozen=True)
class Model:
    """A segmenter on its device, in evaluation mode.

    Attributes:
        segmenter: Prepared for inference; it cannot be trained.
        size: Side of its input in pixels.
        sampling: Sampling settings.
        device: Device of the segmenter.
        quality: Calibration of the weights; None without one.
        precision: Number format that the network computes in.
        identity: Digest of weights and recipe; empty if they are from no file.
        outliers: Detector of images unlike the training images; None without one.
        agreement: Predictor of how well people agree on an outline; None without one.
    """

    segmenter: BaseSegmenter
    size: int
    sampling: SamplingConfig
    device: torch.device
    quality: Quality | None = None
    precision: Precision = "float32"
    identity: str = ""
    outliers: OutlierDetector | None = None
    agreement: AgreementPredictor | None = None

    @property
    def threads(self) -> int:
        """Number of CPU threads that torch computes with."""
        return torch.get_num_threads()

    def segment(self, network_inputs: Sequence[Pixels], view: View) -> list[NetworkOutput]:
        """Segment a batch of images, fewer at once if many samples are drawn.

        A result depends on its own image only.

        Args:
            network_inputs: B images of SxSx3 uint8 RGB.
            view: Returns an image by its number, HxWx3 uint8 RGB, or None, for a second look. It is called
                only for the images that get one.

        Returns:
            The output for each image, at the network's size, or finer after a second look.
        """
        at_once = max(1, MAX_ROWS // max(1, self.sampling.samples))
        found: list[NetworkOutput] = []
        for start in range(0, len(network_inputs), at_once):
            found += self._segment_at_once(
                network_inputs[start : start + at_once], partial(_later_view, view, start)
            )
        return found

    def _segment_at_once(self, network_inputs: Sequence[Pixels], view: View) -> list[NetworkOutput]:
        found = segment_batch(self.segmenter, np.stack(list(network_inputs)), self.sampling, self.device)
        first = found.probability[:, 0].numpy()
        maps, spread = list(first), list(found.spread[:, 0].numpy())
        if self.sampling.second_look:  # only with the posterior mean, whose spread is 0
            maps = look_again(self.segmenter, first, view, self.sampling, self.device)
            spread = [np.zeros_like(one) for one in maps]
        samples = None if found.samples is None else found.samples[:, :, 0].numpy()
        features = None if found.features is None else found.features.numpy()
        return [
            NetworkOutput(
                maps[number],
                spread[number],
                None if samples is None else samples[:, number],
                None if features is None else features[number],
            )
            for number in range(len(network_inputs))
        ]


def _later_view(view: View, start: int, number: int) -> Pixels | None:
    return view(start + number)


def load_model(
    weights: str | Path | Pretrained,
    precision: PrecisionChoice = "float32",
    device: str | torch.device = AUTO,
    batch_size: int = 1,
    sampling: Overrides | None = None,
) -> Model:
    """Prepare weights for inference.

    Args:
        weights: Name as for `Pretrained.from_pretrained`, or weights already loaded.
        precision: Number format that the network computes in; ``auto`` is the faster one, see
            `measured_precision`.
        device: Device, as for `find_device`; by default a CUDA GPU if there is one.
        batch_size: Images segmented at once, for which ``auto`` is measured.
        sampling: Overrides of the recipe's sampling, by the keys of `SamplingConfig`.

    Raises:
        UserError: As `find_device`, `Pretrained.from_pretrained` and `chosen_sampling`; or the weights are
            not float32.
    """
    device = find_device(device)
    pretrained = weights if isinstance(weights, Pretrained) else load_pretrained(weights)
    chosen = chosen_sampling(pretrained.recipe, sampling)
    size = pretrained.recipe.data.size
    segmenter = _in_evaluation(pretrained.segmenter.to(device))
    noise = torch.rand(batch_size, 3, size, size, generator=torch.Generator().manual_seed(0))
    image = (2 * noise - 1).to(device, torch.float32)
    if precision == "auto":
        precision = measured_precision(segmenter, image, chosen)
    ready = ready_to_segment(segmenter, image[:1], chosen, precision)
    companions = pretrained.valid_companions()
    return Model(
        ready,
        size,
        chosen,
        device,
        companions.quality,
        precision,
        _identity(pretrained),
        companions.outliers,
        companions.agreement,
    )


def _in_evaluation(segmenter: BaseSegmenter) -> BaseSegmenter:
    """Return a segmenter in evaluation mode; one that is being trained stays in its mode, and is copied."""
    formats = {one.dtype for one in segmenter.parameters() if one.is_floating_point()}
    if others := formats - {torch.float32}:
        raise UserError(f"the model's weights are {others.pop()}; call its float() to segment images")
    if any(module.training for module in segmenter.modules()):
        segmenter = copy.deepcopy(segmenter)
    return segmenter.eval()


def _identity(pretrained: Pretrained) -> str:
    described = f"{pretrained.digest} {pretrained.recipe.model_dump_json()}"
    return sha256(described.encode()).hexdigest() if pretrained.digest else ""


def ready_to_segment(
    segmenter: BaseSegmenter, image: Tensor, sampling: SamplingConfig, precision: Precision
) -> BaseSegmenter:
    """Return a segmenter that computes the same in fewer operations, for inference only.

    Batch normalisation is folded into convolutions; on a CPU padding is too, and weights are laid out
    for oneDNN. Results differ by rounding only. A network of others that this would change, such as one that
    uses a layer in two places, stays as it is.

    Args:
        segmenter: Segmenter in evaluation mode; not changed.
        image: Example, B3HW, on the segmenter's device.
        sampling: A sampling that the segmenter supports.
        precision: Number format that the network computes in.
    """
    once = sampling.model_copy(update={"samples": 1, "steps": 1, "mirror": False, "fusion": "mean"})
    prepared = _in_fewer_operations(segmenter, image, once, "float32")
    others = any(not type(one).__module__.startswith(OWN) for one in segmenter.modules())
    if others and not _computes_the_same(prepared, segmenter, image, once):
        return in_bfloat16(segmenter, image) if precision == "bf16" else segmenter
    return prepared if precision == "float32" else _in_fewer_operations(segmenter, image, once, precision)


def _in_fewer_operations(
    segmenter: BaseSegmenter, image: Tensor, sampling: SamplingConfig, precision: Precision
) -> BaseSegmenter:
    ready = fold_batch_norm(segmenter)
    on_cpu = image.device.type == "cpu"
    if on_cpu:
        ready = fold_padding(ready)
    if precision == "bf16":
        ready = in_bfloat16(ready, image)
    return pack_convolutions(ready, lambda: ready.segment(image, sampling)) if on_cpu else ready


def _computes_the_same(
    prepared: BaseSegmenter, segmenter: BaseSegmenter, image: Tensor, sampling: SamplingConfig
) -> bool:
    """Return whether a prepared segmenter still runs, with the probabilities that it had."""
    if prepared is segmenter:
        return True
    try:
        found = prepared.segment(image, sampling).probability
    except (AttributeError, RuntimeError, TypeError):  # a network reads attributes of a layer now replaced
        return False
    expected = segmenter.segment(image, sampling).probability
    contrast = float(expected.max() - expected.min())
    return torch.allclose(found, expected, rtol=0, atol=ROUNDING * contrast)


def measured_precision(
    segmenter: BaseSegmenter, image: Tensor, sampling: SamplingConfig, clock: Clock = time.perf_counter
) -> Precision:
    """Return the number format in which a segmenter is faster; see `faster_precision`.

    Args:
        segmenter: Segmenter in evaluation mode.
        image: Example, B3HW, on the segmenter's device; the time depends on its shape.
        sampling: Sampling settings that it will segment with.
        clock: Seconds.
    """

    @cache
    def ready(precision: Precision) -> BaseSegmenter:
        return ready_to_segment(segmenter, image[:1], sampling, precision)

    formats: tuple[Precision, Precision] = ("float32", "bf16")
    works: dict[Precision, Work] = {
        name: partial(lambda name: ready(name).segment(image, sampling), name) for name in formats
    }
    return faster_precision(works, image.device, clock)
