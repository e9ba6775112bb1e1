"""How far a case can be trusted: the Dice to expect of its mask, and flags that call for a look."""

from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from mlffm_segdiff.data.image_quality import QualityLimits, image_quality, unlike_training
from mlffm_segdiff.inference.model import Answer, Model, Pixels
from mlffm_segdiff.inference.postprocessing import DEFAULT, PostProcessing
from mlffm_segdiff.metrics.certainty import soft_dice_confidence
from mlffm_segdiff.segmenters.at_source import THRESHOLD
from mlffm_segdiff.segmenters.calibration import Quality

Mask = npt.NDArray[np.bool_]
Flag = Literal["nothing_found", "touches_frame", "several_parts", "blurred", "too_dark", "unusual_colour"]

FLAGS: tuple[Flag, ...] = get_args(Flag)


def case_certainty(answer: Answer) -> float:
    """Return the soft Dice confidence of an answer's mask, in [0, 1]; 0 where nothing is found."""
    return soft_dice_confidence(answer.probability, answer.probability >= THRESHOLD)


def expected_dice(
    answer: Answer, model: Model, threshold: float = THRESHOLD, post: PostProcessing = DEFAULT
) -> float | None:
    """Return the Dice to expect of a mask, in [0, 1], from the calibration that came with the weights.

    None where there is none, or it was made of masks by another sampler, fusion or threshold, or of masks
    with their holes and all their components. Specks change the Dice by less than 0.001 each and are ignored.
    """
    known = model.quality
    changed = threshold != THRESHOLD or post.largest or post.fill_holes
    if known is None or changed or not known.suits(model.sampling):
        return None
    return known.calibration.expected_dice(case_certainty(answer))


def flags(mask: Mask, parts: int, small: Pixels, quality: Quality | None) -> tuple[Flag, ...]:
    """Return what calls for a look at a case, in the order of FLAGS.

    mask: HxW bool. parts: of it, see `Geometry`. small: the picture as the network took it, SxSx3 uint8.
    quality: of the model, with the limits of its training pictures; without it nothing is said of pictures.
    """
    raised = _mask_flags(mask, parts) | (_picture_flags(small, quality.limits) if quality else set())
    return tuple(flag for flag in FLAGS if flag in raised)


def _mask_flags(mask: Mask, parts: int) -> set[Flag]:
    if not parts:
        return {"nothing_found"}
    found: set[Flag] = set()
    if any(side.any() for side in (mask[0], mask[-1], mask[:, 0], mask[:, -1])):
        found.add("touches_frame")
    if parts > 1:
        found.add("several_parts")
    return found


def _picture_flags(small: Pixels, limits: QualityLimits) -> set[Flag]:
    unlike = unlike_training(image_quality(small), limits)
    found: set[Flag] = set()
    if unlike["sharpness"] < 0:
        found.add("blurred")
    if unlike["lightness"] < 0:
        found.add("too_dark")
    if unlike["lightness"] > 0 or unlike["red_green"] or unlike["blue_yellow"]:
        found.add("unusual_colour")
    return found
