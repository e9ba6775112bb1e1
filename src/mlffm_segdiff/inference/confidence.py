"""The quality of a mask without ground truth: which calibration applies, and flags for cases to review."""

from typing import Literal, get_args

import numpy as np
from skimage.color import rgb2lab

from mlffm_segdiff.data.files import Pixels
from mlffm_segdiff.data.image_quality import QualityLimits, image_quality, unlike_training
from mlffm_segdiff.inference.postprocessing import PostProcessing
from mlffm_segdiff.inference.prepared import PreparedModel
from mlffm_segdiff.metrics.certainty import THRESHOLD, soft_dice_confidence
from mlffm_segdiff.metrics.overlap import Mask
from mlffm_segdiff.segmenters.calibration import Quality, StyleCalibration
from mlffm_segdiff.segmenters.network_output import NetworkOutput, map_at
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


def certainty_of(output: NetworkOutput) -> float:
    """Return the soft Dice confidence of the output for an image, in [0, 1]; 0 if nothing is found."""
    return soft_dice_confidence(output.probability, output.probability >= THRESHOLD)


def contrast_of(network_input: Pixels, output: NetworkOutput) -> float:
    """Return the distance (Delta E*ab) of the mean colours inside and outside of a mask; 0 if one is empty.

    Args:
        network_input: SxSx3 uint8 RGB.
        output: Network output for this image.
    """
    probability = map_at(output.probability, *network_input.shape[:2])
    mask = probability >= THRESHOLD
    if mask.all() or not mask.any():
        return 0.0
    lab = rgb2lab(network_input)
    return float(np.linalg.norm(lab[mask].mean(axis=0) - lab[~mask].mean(axis=0)))


def applicable_calibration(
    model: PreparedModel, threshold: float, post: PostProcessing, outlier: OutlierScore | None = None
) -> StyleCalibration | None:
    """Return the calibration for masks made in this way.

    None without a calibration, if it was made with another sampling, threshold or post-processing, and for an
    image that is an outlier. Specks change the Dice by less than 0.001 each and are ignored.
    """
    if outlier is not None and outlier.flagged:
        return None
    known = model.quality
    changed = threshold != THRESHOLD or post.largest or post.fill_holes
    if known is None or changed or known.mismatch(model.sampling):
        return None
    return known.styles[model.sampling.style]


def outlier_score(output: NetworkOutput, detector: OutlierDetector | None) -> OutlierScore | None:
    """Return how unlike the training images a segmented image is; None without a detector or features."""
    if detector is None or output.features is None:
        return None
    return detector.score(output.features)


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
        quality: Calibration with the limits of the training images, for the flags about sharpness and colour.
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
