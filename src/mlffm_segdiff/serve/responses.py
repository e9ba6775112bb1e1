"""The JSON responses of the REST API."""

import base64
from dataclasses import asdict
from typing import Any

import numpy as np
from pydantic import BaseModel

from mlffm_segdiff.config.schema import SamplingConfig
from mlffm_segdiff.inference.analysis import Processing
from mlffm_segdiff.inference.confidence import Flag
from mlffm_segdiff.inference.estimates import Ends
from mlffm_segdiff.inference.outputs.geojson import contour_geojson
from mlffm_segdiff.inference.postprocessing import PostProcessing
from mlffm_segdiff.inference.result import CaseResult
from mlffm_segdiff.segmenters.network_output import Map

SamplingSettings = dict[str, bool | int | float | str]


class EncodedMaps(BaseModel):
    """Maps, row by row: base64 of little-endian float32; each has size x size numbers.

    Attributes:
        size: Side of the maps in pixels: that of the network's input, or up to four times that after a
            second look.
        probability: Probability of lesion, in [0, 1].
        spread: Standard deviation of the samples.
        samples: The map of each sample.
    """

    size: int
    probability: str
    spread: str
    samples: list[str]


class QualityResponse(BaseModel):
    """How far a mask can be trusted (docs/QUALITY.md, docs/OUTLIERS.md); null for what is unknown.

    Attributes:
        expected_dice: Null without a calibration that applies.
        certainty: Soft Dice confidence.
        flags: Reasons to review the case.
        outlier_score: Above 1 the image is flagged as `not_dermoscopy`.
        expected_human_agreement: Mean Dice between the outlines of two people.
    """

    expected_dice: float | None
    certainty: float | None
    flags: list[Flag]
    outlier_score: float | None
    expected_human_agreement: float | None


class MaskResponse(BaseModel):
    """A mask in numbers.

    Attributes:
        name: Name of the image file.
        width: Image width in pixels.
        height: Image height in pixels.
        mm_per_pixel: Side of a pixel in millimetres; null if it is unknown.
        measures: See docs/MEASURES.md; null for what was not measured.
        quality: How far the mask can be trusted.
        contours: GeoJSON, in pixels.
    """

    name: str
    width: int
    height: int
    mm_per_pixel: float | None
    measures: dict[str, float | int | None]
    quality: QualityResponse
    contours: dict[str, Any]


class IntervalsResponse(BaseModel):
    """Intervals, each lower and upper end (docs/INTERVALS.md).

    Attributes:
        level: Probability with which each holds.
        levels: Levels that can be requested.
        calibration_cases: Number of calibration cases by data set.
        expected_dice: Interval of the Dice.
        area: Interval of the area, in pixels.
        equivalent_diameter: Interval of the equivalent diameter, in pixels.
        area_mm2: Interval of the area, in mm^2; null if the size of a pixel is unknown.
        equivalent_diameter_mm: Interval of the equivalent diameter, in mm; null if the size of a pixel is
            unknown.
    """

    level: float
    levels: list[float]
    calibration_cases: dict[str, int]
    expected_dice: Ends
    area: Ends
    equivalent_diameter: Ends
    area_mm2: Ends | None = None
    equivalent_diameter_mm: Ends | None = None


class BandResponse(BaseModel):
    """Inner and outer contour as GeoJSON, in pixels, with the level at which each holds."""

    level: float
    inner: dict[str, Any]
    outer: dict[str, Any]


class SegmentResponse(MaskResponse):
    """The segmentation of an image; band, maps and preview on request.

    Intervals and band are null without a calibration that applies.
    """

    threshold: float
    sampling: SamplingSettings
    post_processing: PostProcessing
    intervals: IntervalsResponse | None = None
    band: BandResponse | None = None
    maps: EncodedMaps | None = None
    preview: str | None = None


def segment_response(
    result: CaseResult,
    sampling: SamplingConfig,
    processing: Processing,
    band: bool = True,
    maps: bool = True,
    preview: str | None = None,
) -> SegmentResponse:
    """Return the response to a segmented image.

    Args:
        result: Result of the image.
        sampling: Sampling settings that it was made with.
        processing: Settings that its mask was made with.
        band: Add the inner and outer contour.
        maps: Add the maps.
        preview: The image as a data URL.
    """
    return SegmentResponse(
        **mask_fields(result),
        threshold=processing.threshold,
        sampling=sampling_settings(sampling),
        post_processing=processing.post,
        intervals=intervals_response(result),
        band=band_response(result) if band else None,
        maps=encoded_maps(result) if maps else None,
        preview=preview,
    )


def mask_fields(result: CaseResult) -> dict[str, Any]:
    """Return the fields of a `MaskResponse`."""
    agreement = result.expected_human_agreement
    return {
        "name": result.image.name,
        "width": result.image.width,
        "height": result.image.height,
        "mm_per_pixel": result.mm_per_pixel,
        "measures": asdict(result.measures),
        "quality": QualityResponse(
            expected_dice=result.expected_dice.value if result.expected_dice else None,
            certainty=result.certainty,
            flags=list(result.flags),
            outlier_score=result.outlier.score if result.outlier else None,
            expected_human_agreement=agreement.dice if agreement else None,
        ),
        "contours": contour_geojson(result.mask, result.image.name),
    }


def intervals_response(result: CaseResult) -> IntervalsResponse | None:
    """Return the intervals of a result; None without a calibration that applies."""
    if result.level is None:
        return None
    return IntervalsResponse(
        level=result.level,
        levels=list(result.levels),
        calibration_cases=result.calibration_cases,
        **result.intervals,
    )


def band_response(result: CaseResult) -> BandResponse | None:
    """Return the inner and outer contour of a result; None without a calibration that applies."""
    band, name = result.band, result.image.name
    if band is None:
        return None
    return BandResponse(
        level=band.level,
        inner=contour_geojson(band.inner, name, "inner", band.level),
        outer=contour_geojson(band.outer, name, "outer", band.level),
    )


def sampling_settings(sampling: SamplingConfig) -> SamplingSettings:
    """Return the sampling settings that responses report, by key."""
    return sampling.model_dump()


def encoded_maps(result: CaseResult) -> EncodedMaps:
    """Return the maps of a segmented image at the size that the network gave."""
    output = result.segmentation
    assert output is not None
    return EncodedMaps(
        size=len(output.probability),
        probability=_packed(output.probability),
        spread=_packed(output.spread),
        samples=[_packed(sample) for sample in (() if output.samples is None else output.samples)],
    )


def _packed(values: Map) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype="<f4").tobytes()).decode()
