"""A segmenter on the cases of a split, scored at the network's size and at each mask's own size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.schema import SamplingConfig
from mlffm_segdiff.data.cache import CachedPairs
from mlffm_segdiff.data.case import Case
from mlffm_segdiff.data.files import Pixels, decode_mask, decode_pil
from mlffm_segdiff.data.view import view_of
from mlffm_segdiff.evaluation.figures import OutlinedCase
from mlffm_segdiff.evaluation.rows import EvaluatedCase
from mlffm_segdiff.inference.analysis import Processing, analyse
from mlffm_segdiff.inference.model import Model
from mlffm_segdiff.inference.postprocessing import AS_THRESHOLDED
from mlffm_segdiff.inference.reading.case_image import CaseImage
from mlffm_segdiff.inference.result import CaseResult
from mlffm_segdiff.metrics.case_scores import score_case
from mlffm_segdiff.metrics.certainty import THRESHOLD
from mlffm_segdiff.metrics.overlap import Mask, count_pixels, jaccard
from mlffm_segdiff.segmenters.base import BaseSegmenter
from mlffm_segdiff.segmenters.calibration import Quality
from mlffm_segdiff.segmenters.network_output import NetworkOutput, map_at

SCORED = Processing(post=AS_THRESHOLDED)


@dataclass(frozen=True)
class ComparedCase:
    """A case with its result and its ground truth.

    Attributes:
        case: Image and mask files.
        result: Result at the size of the ground truth, thresholded, without post-processing.
        truth: Ground truth at its own size, HxW bool.
        network_truth: Ground truth at the network's size, SxS bool.
    """

    case: Case
    result: CaseResult
    truth: Mask
    network_truth: Mask


def segment_cases(
    segmenter: BaseSegmenter,
    pairs: CachedPairs,
    cases: Sequence[Case],
    sampling: SamplingConfig,
    batch_size: int,
    device: torch.device,
    quality: Quality | None = None,
) -> Iterator[ComparedCase]:
    """Segment cases in their order; a result depends on its own image only.

    Args:
        segmenter: Segmenter on `device`, in evaluation mode.
        pairs: Images and masks of at least these cases, at the network's size.
        cases: Cases to segment. For a second look their images are read from their files, one at a time.
        sampling: Sampling settings.
        batch_size: Images segmented at once.
        device: Device of the segmenter.
        quality: Calibration of the weights, for the expected Dice.

    Raises:
        UserError: A case is not among the pairs, has no mask, or its files cannot be read.
        ValueError: The segmenter is in training mode.
    """
    index = {name: position for position, name in enumerate(pairs.ids)}
    absent = [case.id for case in cases if case.id not in index]
    if absent:
        raise UserError(f"{len(absent)} cases are not in the cache, such as {absent[0]}; build it for them")
    model = Model(segmenter, pairs.images.shape[1], sampling, device, quality)
    for start in range(0, len(cases), batch_size):
        chunk = cases[start : start + batch_size]
        rows = [index[case.id] for case in chunk]
        found = model.segment(list(pairs.images[rows]), partial(_view, chunk))
        for case, row, segmentation in zip(chunk, rows, found, strict=True):
            yield _compare(case, pairs.images[row], pairs.masks[row] > 0, segmentation, model)


def evaluate_case(compared: ComparedCase) -> EvaluatedCase:
    """Score a case at both sizes."""
    assert compared.result.segmentation is not None
    probability = compared.result.segmentation.probability
    at_network = map_at(probability, *compared.network_truth.shape) >= THRESHOLD
    return EvaluatedCase(
        compared.case.id,
        score_case(compared.result.mask, compared.truth),
        score_case(at_network, compared.network_truth),
    )


def evaluate_model(
    segmenter: BaseSegmenter,
    pairs: CachedPairs,
    cases: Sequence[Case],
    sampling: SamplingConfig,
    batch_size: int,
    device: torch.device,
) -> Iterator[EvaluatedCase]:
    """Segment and score cases in their order; errors are those of `segment_cases`.

    Args:
        segmenter: Segmenter on `device`, in evaluation mode.
        pairs: Images and masks of at least these cases, at the network's size.
        cases: Cases to segment.
        sampling: Sampling settings.
        batch_size: Images segmented at once.
        device: Device of the segmenter.

    Yields:
        Scores of each case.
    """
    return map(evaluate_case, segment_cases(segmenter, pairs, cases, sampling, batch_size, device))


def outline_case(compared: ComparedCase) -> OutlinedCase:
    """Return a case for `contour_figure`, at the size of its ground truth."""
    predicted, truth = compared.result.mask, compared.truth
    return OutlinedCase(compared.case.id, truth, predicted, jaccard(count_pixels(predicted, truth)))


def _view(cases: Sequence[Case], number: int) -> Pixels:
    image = cases[number].image
    return view_of(decode_pil(image.read(), str(image)))


def _compare(
    case: Case, network_input: Pixels, network_truth: Mask, segmentation: NetworkOutput, model: Model
) -> ComparedCase:
    if case.mask is None:
        raise UserError(f"{case.id} has no mask to compare with; leave it out of the split or add its mask")
    truth = decode_mask(case.mask.read(), str(case.mask))
    image = CaseImage(truth.shape[0], truth.shape[1], np.asarray(network_input), name=case.id)
    return ComparedCase(case, analyse(image, segmentation, model, SCORED), truth, network_truth)
