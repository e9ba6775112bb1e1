"""What is found in a picture, at the picture's own size."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.inference.model import Answer
from mlffm_segdiff.inference.postprocessing import DEFAULT, PostProcessing, post_process
from mlffm_segdiff.segmenters.at_source import Map, map_at


@dataclass(frozen=True)
class Prediction:
    """One image's result, arrays of its own height and width.

    Attributes:
        mask: HxW bool, True on the lesion: where the probability reaches the threshold, post-processed.
        probability: HxW float32 in [0, 1], the posterior mean, or the samples fused.
        spread: HxW float32 in [0, 0.5], the samples' standard deviation; 0 for fewer than two samples.
    """

    mask: npt.NDArray[np.bool_]
    probability: Map
    spread: Map


def check_threshold(threshold: float) -> float:
    """Return the threshold. Raises UserError unless it is above 0 and at most 1."""
    if not 0 < threshold <= 1:
        raise UserError(f"threshold {threshold} is out of range; give a probability above 0 and at most 1")
    return threshold


def predict_source(answer: Answer, threshold: float, post: PostProcessing = DEFAULT) -> Prediction:
    """Return the answer at its image's own size; every output and measure is made from this one mask."""
    height, width = answer.picture.height, answer.picture.width
    probability = map_at(answer.probability, height, width)
    mask = probability >= threshold
    box = lesion_box(mask)
    mask[box] = post_process(mask[box], post)  # before the spread takes its memory
    none = np.zeros((height, width), np.float32)  # which takes no memory until it is written to
    spread = map_at(answer.spread, height, width) if answer.spread.any() else none
    return Prediction(mask, probability, spread)


def lesion_box(mask: npt.NDArray[np.bool_]) -> tuple[slice, slice]:
    """Return the rows and columns from the first to the last that has a pixel of the mask."""
    return _extent(mask, 0), _extent(mask, 1)


def _extent(mask: npt.NDArray[np.bool_], axis: int) -> slice:
    places = np.flatnonzero(mask.any(axis=1 - axis))
    return slice(int(places[0]), int(places[-1]) + 1) if places.size else slice(0, 0)
