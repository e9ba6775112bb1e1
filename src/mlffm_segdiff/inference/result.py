"""The result of one image, made here for `predict`, `serve`, `evaluate` and Python."""

import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.inference.confidence import (
    Flag,
    certainty_of,
    expected_dice,
    outlier_score,
    raise_flags,
)
from mlffm_segdiff.inference.masks import lesion_box
from mlffm_segdiff.inference.measures.lesion_measures import LesionMeasures, measure_lesion
from mlffm_segdiff.inference.model import Model
from mlffm_segdiff.inference.postprocessing import DEFAULT, PostProcessing, post_process
from mlffm_segdiff.inference.reading.case_image import CaseImage
from mlffm_segdiff.metrics.overlap import Mask
from mlffm_segdiff.segmenters.agreement import HumanAgreement
from mlffm_segdiff.segmenters.at_source import THRESHOLD, Map, map_at
from mlffm_segdiff.segmenters.base import Segmentation
from mlffm_segdiff.segmenters.calibration import Quality
from mlffm_segdiff.segmenters.outliers import OutlierScore

POSSIBLE = 0.05
"""Probability from which a pixel counts for the mean spread."""


class OutlierError(UserError):
    """An image that is refused because it is unlike the training images."""


@dataclass(frozen=True)
class Processing:
    """How a segmentation becomes a mask with measures.

    Attributes:
        threshold: Probability from which a pixel is lesion, above 0 and at most 1.
        post: Post-processing of the thresholded mask.
        mm_per_pixel: Side of a pixel in millimetres, instead of the value in the image's file.
        refuse_outliers: Make no result of an image that is flagged as not dermoscopic.
    """

    threshold: float = THRESHOLD
    post: PostProcessing = DEFAULT
    mm_per_pixel: float | None = None
    refuse_outliers: bool = False

    def __post_init__(self) -> None:
        """Raise UserError for a number out of range."""
        if not 0 < self.threshold <= 1:
            raise UserError(
                f"threshold {self.threshold} is out of range; give a probability above 0 and at most 1"
            )
        if self.mm_per_pixel is not None and not 0 < self.mm_per_pixel < math.inf:
            raise UserError(f"{self.mm_per_pixel} mm per pixel is out of range; give a number above 0")


@dataclass(frozen=True)
class CaseResult:
    """What was found in one image, at the image's own size.

    Maps are resized when they are read, and measures taken when they are first read, so that a result holds
    only its mask.

    Attributes:
        image: The image.
        mask: HxW bool, True on the lesion: where the probability reaches the threshold, post-processed.
        segmentation: The network's output for this image only (B = 1), on the CPU; None for a mask drawn by
            a person.
        certainty: Soft Dice confidence in [0, 1], 0 if nothing was found; None without a segmentation.
        expected_dice: Dice to expect at this certainty, in [0, 1]; None without a calibration that applies,
            and for an outlier.
        mm_per_pixel: Side of a pixel in millimetres; None if it is unknown.
        quality: Calibration of the weights, with the limits of the training images; None without one.
        outlier: How unlike the training images the image is; None without a detector of the weights.
        expected_human_agreement: How well people would agree on the outline; None where no Dice is expected,
            and without a predictor of the weights.
    """

    image: CaseImage = field(repr=False)
    mask: Mask = field(repr=False)
    segmentation: Segmentation | None = field(default=None, repr=False)
    certainty: float | None = None
    expected_dice: float | None = None
    mm_per_pixel: float | None = None
    quality: Quality | None = field(default=None, repr=False)
    outlier: OutlierScore | None = None
    expected_human_agreement: HumanAgreement | None = None

    @property
    def probability(self) -> Map:
        """HxW float32 in [0, 1]: the posterior mean, or the fusion of the samples."""
        if self.segmentation is None:
            return self.mask.astype(np.float32)
        return map_at(self.segmentation.probability[0, 0].numpy(), *self.mask.shape)

    @property
    def spread(self) -> Map:
        """HxW float32 in [0, 0.5]: standard deviation of the samples, 0 for fewer than two."""
        if self.segmentation is None or not self.segmentation.spread.any():
            return np.zeros(self.mask.shape, np.float32)
        return map_at(self.segmentation.spread[0, 0].numpy(), *self.mask.shape)

    @property
    def samples(self) -> Map | None:
        """NxSxS float32 in [0, 1]: the samples at the network's size; None if none were drawn."""
        drawn = self.segmentation.samples if self.segmentation else None
        return None if drawn is None else drawn[:, 0, 0].numpy()

    @cached_property
    def measures(self) -> LesionMeasures:
        """Size, position, shape, border and colour of the lesion."""
        return measure_lesion(self.mask, self.image.view, self.mm_per_pixel, self._mean_spread())

    @cached_property
    def flags(self) -> tuple[Flag, ...]:
        """Reasons to review the case, in the order of `confidence.FLAGS`."""
        components, shown = self.measures.components, self.image.network_input
        return raise_flags(self.mask, components, shown, self.quality, self.outlier)

    def _mean_spread(self) -> float | None:
        """Return the mean spread where the probability is at least POSSIBLE, 0 if it is nowhere."""
        if self.samples is None or len(self.samples) < 2:
            return None
        possible = self.probability >= POSSIBLE
        return float(self.spread.mean(dtype=np.float64, where=possible)) if possible.any() else 0.0


def analyse(
    image: CaseImage, segmentation: Segmentation, model: Model, processing: Processing | None = None
) -> CaseResult:
    """Make the result of one image from the network's output.

    Args:
        image: What was segmented.
        segmentation: The network's output for this image only (B = 1), on the CPU.
        model: That segmented it, with its sampling and calibration.
        processing: How the segmentation becomes a mask.

    Raises:
        OutlierError: The image is an outlier, and `processing` refuses those.
        UserError: The network's output is not finite.
    """
    if not segmentation.is_finite:
        raise UserError(
            f"{image.name or 'image'}: the network's output is not finite (NaN or Inf): its weights are "
            "damaged, or bf16 is too coarse for them; use other weights, or float32"
        )
    how = processing or Processing()
    outlier = outlier_score(segmentation, model.outliers)
    is_outlier = outlier is not None and outlier.flagged
    if outlier is not None and is_outlier and how.refuse_outliers:
        raise OutlierError(
            f"{image.name or 'image'}: not a dermoscopic image like the training images (outlier score "
            f"{outlier.score:.2f}, limit {outlier.threshold:g}); segment it without refusing outliers"
        )
    probability = map_at(segmentation.probability[0, 0].numpy(), image.height, image.width)
    mask: Mask = probability >= how.threshold
    del probability  # four times as large as the mask
    box = lesion_box(mask)
    mask[box] = post_process(mask[box], how.post)
    certainty = certainty_of(segmentation)
    expected = None if is_outlier else expected_dice(certainty, model, how.threshold, how.post)
    agreement = None
    if model.agreement is not None and expected is not None and mask.any():
        agreement = model.agreement.predict(segmentation.probability[0, 0].numpy())
    return CaseResult(
        image,
        mask,
        segmentation,
        certainty,
        expected,
        how.mm_per_pixel or image.mm_per_pixel,
        model.quality,
        outlier,
        agreement,
    )
