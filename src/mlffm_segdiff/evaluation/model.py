"""A segmenter over the cases of a part, scored at the network's size and at each mask's own size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import torch

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.cache import CachedPairs
from mlffm_segdiff.data.case import Case
from mlffm_segdiff.data.files import decode_mask, decode_pil
from mlffm_segdiff.data.view import view_of
from mlffm_segdiff.evaluation.pictures import OutlinedCase
from mlffm_segdiff.evaluation.rows import EvaluatedCase
from mlffm_segdiff.metrics.case_scores import score_case
from mlffm_segdiff.metrics.certainty import sample_agreement
from mlffm_segdiff.metrics.distribution import SampleScores, score_samples
from mlffm_segdiff.metrics.overlap import Mask, count_pixels, jaccard
from mlffm_segdiff.segmenters.at_source import THRESHOLD, map_at, segment_images
from mlffm_segdiff.segmenters.base import Sampling, Segmenter
from mlffm_segdiff.segmenters.second_look import Pixels, look_again


@dataclass(frozen=True)
class SegmentedCase:
    """A case with the network's answer: probability SxS float32 in [0, 1], truth SxS bool from the cache.

    After a second look probability is KxK, K at least S. agreement: of the samples where there are several,
    see `sample_agreement`. samples: their scores.
    """

    case: Case
    probability: npt.NDArray[np.float32]
    truth: Mask
    agreement: float | None = None
    samples: SampleScores | None = None


def segment_cases(
    segmenter: Segmenter,
    pairs: CachedPairs,
    cases: Sequence[Case],
    sampling: Sampling,
    batch_size: int,
    device: torch.device,
) -> Iterator[SegmentedCase]:
    """Segment the cases in their order, `batch_size` at once; a case's answer depends on its image only.

    pairs: holds at least the given cases. segmenter: on `device`, in evaluation mode; else raises ValueError.
    A second look reads the images looked at again from their files, one at a time.
    Raises UserError where a case is not among the pairs, or its image cannot be read again.
    """
    index = {name: position for position, name in enumerate(pairs.ids)}
    absent = [case.id for case in cases if case.id not in index]
    if absent:
        raise UserError(f"{len(absent)} cases are not in the cache, such as {absent[0]}; build it for them")
    for start in range(0, len(cases), batch_size):
        chunk = cases[start : start + batch_size]
        rows = [index[case.id] for case in chunk]
        found = segment_images(segmenter, pairs.images[rows], sampling, device)
        probability: list[npt.NDArray[np.float32]] = list(found.probability[:, 0].numpy())
        if sampling.second_look:
            view = partial(_view, chunk)
            probability = look_again(segmenter, np.stack(probability), view, sampling, device)
        for number, (case, row) in enumerate(zip(chunk, rows, strict=True)):
            agreement, scores, truth = None, None, pairs.masks[row].astype(np.bool_)
            if found.samples is not None:
                samples = found.samples[:, number, 0].numpy()
                agreement = sample_agreement(samples)
                scores = score_samples(samples >= THRESHOLD, truth)
            yield SegmentedCase(case, probability[number], truth, agreement, scores)


def _view(cases: Sequence[Case], number: int) -> Pixels:
    image = cases[number].image
    return view_of(decode_pil(image.read(), str(image)))


def source_masks(segmented: SegmentedCase) -> tuple[Mask, Mask]:
    """Return the predicted mask at the true mask's own size, and the true mask, both HxW bool.

    Raises UserError where the case has no mask or it cannot be read.
    """
    case = segmented.case
    if case.mask is None:
        raise UserError(f"{case.id} has no mask to compare with; leave it out of the split or add its mask")
    truth = decode_mask(case.mask.read(), str(case.mask))
    return map_at(segmented.probability, *truth.shape) >= THRESHOLD, truth


def evaluate_case(segmented: SegmentedCase) -> EvaluatedCase:
    """Score one answer at both sizes. Raises as `source_masks`."""
    at_network = map_at(segmented.probability, *segmented.truth.shape)
    network = score_case(at_network >= THRESHOLD, segmented.truth)
    return EvaluatedCase(segmented.case.id, score_case(*source_masks(segmented)), network)


def evaluate_model(
    segmenter: Segmenter,
    pairs: CachedPairs,
    cases: Sequence[Case],
    sampling: Sampling,
    batch_size: int,
    device: torch.device,
) -> Iterator[EvaluatedCase]:
    """Segment and score the cases in their order.

    Arguments as `segment_cases`. Raises as `segment_cases` and `source_masks`.
    """
    for segmented in segment_cases(segmenter, pairs, cases, sampling, batch_size, device):
        yield evaluate_case(segmented)


def outline_case(segmented: SegmentedCase) -> OutlinedCase:
    """Return what `contour_figure` draws of an answer, at source size. Raises as `source_masks`."""
    predicted, truth = source_masks(segmented)
    return OutlinedCase(segmented.case.id, truth, predicted, jaccard(count_pixels(predicted, truth)))
