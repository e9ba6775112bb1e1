"""From the network's output for one image to its result."""

from dataclasses import dataclass
from numbers import Real

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.schema import ANY_STYLE, SamplingConfig
from mlffm_segdiff.inference.confidence import applicable_calibration, certainty_of, outlier_score
from mlffm_segdiff.inference.estimates import require_level, shown_level
from mlffm_segdiff.inference.masks import lesion_box
from mlffm_segdiff.inference.postprocessing import DEFAULT, PostProcessing, post_process, truth_value
from mlffm_segdiff.inference.prepared import PreparedModel
from mlffm_segdiff.inference.reading.case_image import CaseImage
from mlffm_segdiff.inference.reading.dicom import MAX_SPACING, MIN_SPACING
from mlffm_segdiff.inference.result import CaseResult
from mlffm_segdiff.metrics.case_bounds import LEVELS
from mlffm_segdiff.metrics.certainty import THRESHOLD
from mlffm_segdiff.metrics.overlap import Mask
from mlffm_segdiff.segmenters.network_output import NetworkOutput


class OutlierError(UserError):
    """An image that is refused because it is unlike the training images."""


@dataclass(frozen=True)
class Processing:
    """How a segmentation becomes a mask with measures.

    Attributes:
        threshold: Probability from which a pixel is lesion, above 0 and at most 1.
        post: Post-processing of the thresholded mask.
        mm_per_pixel: Side of a pixel in millimetres, 1e-6 to 1000, instead of the value in the image's file.
        level: Level of the intervals and contours that outputs show, as a share (0.9) or in percent (90);
            None is 0.9, or the highest that is calibrated.
        refuse_outliers: Make no result of an image that is flagged as not dermoscopic.
    """

    threshold: float = THRESHOLD
    post: PostProcessing = DEFAULT
    mm_per_pixel: float | None = None
    level: float | None = None
    refuse_outliers: bool = False

    def __post_init__(self) -> None:
        """Raise UserError for what is not a number, or out of range."""
        numbers = {"threshold": self.threshold}
        if self.mm_per_pixel is not None:
            numbers["mm_per_pixel"] = self.mm_per_pixel
        for name, number in numbers.items():
            if not isinstance(number, Real) or isinstance(number, bool):
                raise UserError(f"{name} {number!r} is not a number; give one without quotes")
        if not isinstance(self.post, PostProcessing):
            raise UserError(f"post {self.post!r} is not a PostProcessing; give PostProcessing(largest=True)")
        refuse_outliers = truth_value("refuse_outliers", self.refuse_outliers)
        object.__setattr__(self, "refuse_outliers", refuse_outliers)
        if not 0 < self.threshold <= 1:
            raise UserError(
                f"threshold {self.threshold} is out of range; give a probability above 0 and at most 1"
            )
        if self.mm_per_pixel is not None and not MIN_SPACING <= self.mm_per_pixel <= MAX_SPACING:
            raise UserError(
                f"{self.mm_per_pixel} mm per pixel is out of range; give a number from {MIN_SPACING:g} to "
                f"{MAX_SPACING:g}"
            )
        if self.level is not None:
            object.__setattr__(self, "level", require_level(self.level, LEVELS))
        for name, number in numbers.items():
            object.__setattr__(self, name, float(number))  # NumPy's numbers cannot be written as JSON


def missing_estimates(model: PreparedModel, how: Processing) -> str:
    """Return why results have no expected Dice or no intervals; an empty text if none are missing.

    Args:
        model: Model with its sampling and calibration.
        how: How segmentations become masks.
    """
    if model.quality and (calibrated := model.quality.mismatch(model.sampling)):
        return f"no expected Dice and no intervals: the weights are calibrated for {calibrated}"
    if how.level is None:
        return ""
    if model.quality is None:
        return "no intervals: the weights have no calibration; make one with evaluate --calibrate"
    if applicable_calibration(model, how.threshold, how.post) is None:
        return f"no intervals: they are for threshold {THRESHOLD:g} without --largest and --fill-holes"
    return ""


def analyse(
    image: CaseImage,
    segmentation: NetworkOutput,
    model: PreparedModel,
    processing: Processing | None = None,
    prompted: bool = False,
) -> CaseResult:
    """Make the result of one image from the network's output.

    Args:
        image: Segmented image.
        segmentation: The network's output for this image.
        model: Model that segmented it, with its sampling and calibration.
        processing: How the segmentation becomes a mask.
        prompted: The segmentation depends on marks of a user, so that no calibration applies.

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
    if how.refuse_outliers and outlier is not None and outlier.flagged:
        raise OutlierError(
            f"{image.name or 'image'}: not a dermoscopic image like the training images (outlier score "
            f"{outlier.score:.2f}, limit {outlier.threshold:g}); segment it without refusing outliers"
        )
    probability = segmentation.probability_at(image.height, image.width)
    mask: Mask = probability >= how.threshold
    del probability  # four times as large as the mask
    box = lesion_box(mask)
    mask[box] = post_process(mask[box], how.post)
    calibration = None if prompted else applicable_calibration(model, how.threshold, how.post, outlier)
    agreement = None
    if model.agreement is not None and calibration is not None and mask.any() and _is_default(model.sampling):
        agreement = model.agreement.predict(segmentation.probability)
    return CaseResult(
        image,
        mask,
        segmentation,
        certainty_of(segmentation),
        calibration,
        how.mm_per_pixel or image.mm_per_pixel,
        model.quality,
        shown_level(how.level, calibration.levels if calibration else ()),
        outlier,
        agreement,
        prompted,
    )


def _is_default(sampling: SamplingConfig) -> bool:
    """Return whether masks are made as those that the predictor of human agreement was fitted to."""
    return not (sampling.samples or sampling.second_look) and sampling.style == ANY_STYLE


def require_supported(model: PreparedModel, processing: Processing) -> None:
    """Refuse settings that the model does not support.

    Args:
        model: Model with its sampling, calibration and outlier detector.
        processing: How segmentations become masks.

    Raises:
        UserError: The level is not calibrated, or outliers are refused without a detector.
    """
    if processing.refuse_outliers and model.outliers is None:
        raise UserError(
            "these weights have no outlier detector, so no image can be refused; make one by evaluate "
            "--calibrate, or leave out --refuse-outliers"
        )
    calibration = applicable_calibration(model, processing.threshold, processing.post)
    shown_level(processing.level, calibration.levels if calibration else ())
