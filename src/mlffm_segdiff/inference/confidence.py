"""The quality of a mask without ground truth: its expected Dice, and flags for cases to review."""

from typing import Literal, get_args

from mlffm_segdiff.data.files import Pixels
from mlffm_segdiff.data.image_quality import QualityLimits, image_quality, unlike_training
from mlffm_segdiff.inference.model import Model
from mlffm_segdiff.inference.postprocessing import PostProcessing
from mlffm_segdiff.metrics.certainty import soft_dice_confidence
from mlffm_segdiff.metrics.overlap import Mask
from mlffm_segdiff.segmenters.at_source import THRESHOLD
from mlffm_segdiff.segmenters.base import Segmentation
from mlffm_segdiff.segmenters.calibration import Quality
from mlffm_segdiff.segmenters.outliers import OutlierDetector, OutlierScore

Flag = Literal[
    "not_dermoscopy",
    "nothing_found",
    "touches_frame",
    "several_components",
    "blurred",
    "too_dark",
    "unusual_colour",
]

FLAGS: tuple[Flag, ...] = get_args(Flag)


def certainty_of(segmentation: Segmentation) -> float:
    """Return the soft Dice confidence of a segmentation of one image, in [0, 1]; 0 if nothing is found."""
    probability = segmentation.probability[0, 0].numpy()
    return soft_dice_confidence(probability, probability >= THRESHOLD)


def expected_dice(certainty: float, model: Model, threshold: float, post: PostProcessing) -> float | None:
    """Return the Dice to expect at this certainty by the calibration of the weights, in [0, 1].

    None without a calibration, or if it was made with another sampling, threshold or post-processing. Specks
    change the Dice by less than 0.001 each and are ignored.
    """
    known = model.quality
    changed = threshold != THRESHOLD or post.largest or post.fill_holes
    if known is None or changed or known.mismatch(model.sampling):
        return None
    return known.calibration.expected_dice(certainty)


def outlier_score(segmentation: Segmentation, detector: OutlierDetector | None) -> OutlierScore | None:
    """Return how unlike the training images a segmented image is; None without a detector or features."""
    if detector is None or segmentation.features is None:
        return None
    return detector.score(segmentation.features[0].numpy())


def raise_flags(
    mask: Mask,
    components: int,
    network_input: Pixels,
    quality: Quality | None,
    outlier: OutlierScore | None = None,
) -> tuple[Flag, ...]:
    """Return the reasons to review a case, in the order of `FLAGS`.

    Args:
        mask: HxW bool.
        components: Number of its 8-connected components.
        network_input: SxSx3 uint8 RGB.
        quality: With the limits of the training images, for the flags about sharpness and colour.
        outlier: How unlike the training images the image is; None if it is unknown.
    """
    raised = _mask_flags(mask, components)
    if outlier is not None and outlier.flagged:
        raised.add("not_dermoscopy")
    if quality is not None:
        raised |= _image_flags(network_input, quality.limits)
    return tuple(flag for flag in FLAGS if flag in raised)


def _mask_flags(mask: Mask, components: int) -> set[Flag]:
    if not components:
        return {"nothing_found"}
    found: set[Flag] = set()
    if any(side.any() for side in (mask[0], mask[-1], mask[:, 0], mask[:, -1])):
        found.add("touches_frame")
    if components > 1:
        found.add("several_components")
    return found


def _image_flags(network_input: Pixels, limits: QualityLimits) -> set[Flag]:
    unlike = unlike_training(image_quality(network_input), limits)
    found: set[Flag] = set()
    if unlike["sharpness"] < 0:
        found.add("blurred")
    if unlike["lightness"] < 0:
        found.add("too_dark")
    if unlike["lightness"] > 0 or unlike["red_green"] or unlike["blue_yellow"]:
        found.add("unusual_colour")
    return found
