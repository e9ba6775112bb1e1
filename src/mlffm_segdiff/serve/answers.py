"""What is found in a picture, as the REST API tells it."""

import base64
import io
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from PIL import Image
from pydantic import BaseModel

from mlffm_segdiff.inference.measures.case import measure_case
from mlffm_segdiff.inference.model import Answer, Model
from mlffm_segdiff.inference.outputs.contours import geojson
from mlffm_segdiff.inference.outputs.outlines import Mask
from mlffm_segdiff.inference.prediction import Prediction
from mlffm_segdiff.inference.quality import Flag, flags
from mlffm_segdiff.inference.reading import FilePicture
from mlffm_segdiff.segmenters.at_source import Map
from mlffm_segdiff.segmenters.base import Sampling


class Drawn(BaseModel):
    """How the mask was made.

    samples: 0 for the posterior mean in one step, to which sampler and steps do not apply.
    """

    samples: int
    steps: int
    sampler: str
    seed: int
    style: str
    mirror: bool
    second_look: bool


class CleanedBy(BaseModel):
    """The post-processing of the mask, see `PostProcessing`."""

    keep_specks: bool
    largest: bool
    fill_holes: bool


class MapsAnswer(BaseModel):
    """Maps, row by row: base64 of float32, lowest byte first; each size x size numbers.

    size: the network's, or up to four times that after a second look.

    probability: in [0, 1]. spread: the samples' standard deviation. samples: each sample's own map.
    """

    size: int
    probability: str
    spread: str
    samples: list[str]


class QualityAnswer(BaseModel):
    """What speaks for and against a mask (docs/QUALITY.md).

    expected_dice, certainty: null of a mask that the network did not draw.
    """

    expected_dice: float | None = None
    certainty: float | None = None
    flags: list[Flag]


class MaskAnswer(BaseModel):
    """What a mask holds.

    measures: docs/MEASURES.md; null where it cannot be told. contours: GeoJSON, in pixels.
    """

    name: str
    width: int
    height: int
    mm_per_pixel: float | None
    measures: dict[str, float | int | None]
    quality: QualityAnswer
    contours: dict[str, Any]


class SegmentAnswer(MaskAnswer):
    """A picture's segmentation. maps, preview: where asked for."""

    threshold: float
    sampling: Drawn
    post_processing: CleanedBy
    maps: MapsAnswer | None = None
    preview: str | None = None


def mask_values(
    file: FilePicture, prediction: Prediction, model: Model, mm_per_pixel: float | None
) -> dict[str, Any]:
    """Return the values of a `MaskAnswer`. model: with the sampling that drew the mask."""
    spacing = mm_per_pixel or file.mm_per_pixel
    measures = measure_case(file.view, prediction, spacing)
    if model.sampling.samples < 2:
        measures = replace(measures, mean_spread=None)
    raised = flags(prediction.mask, measures.parts, file.picture.small, model.quality)
    return {
        "name": file.source.name,
        "width": file.picture.width,
        "height": file.picture.height,
        "mm_per_pixel": spacing,
        "measures": asdict(measures),
        "quality": QualityAnswer(flags=list(raised)),
        "contours": geojson(prediction.mask, file.source.name),
    }


def drawn(sampling: Sampling) -> Drawn:
    """Return what an answer says of the sampling."""
    return Drawn(**{name: getattr(sampling, name) for name in Drawn.model_fields})


def maps_answer(answer: Answer) -> MapsAnswer:
    """Return the maps of an answer."""
    samples = [] if answer.samples is None else [_packed(sample) for sample in answer.samples]
    return MapsAnswer(
        size=len(answer.probability),
        probability=_packed(answer.probability),
        spread=_packed(answer.spread),
        samples=samples,
    )


def mask_png(mask: Mask) -> bytes:
    """Return a mask as a PNG file of 0 and 255, as ``mlffm-segdiff predict`` writes it."""
    stream = io.BytesIO()
    Image.fromarray(mask * np.uint8(255)).save(stream, "PNG")
    return stream.getvalue()


def _packed(values: Map) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype="<f4").tobytes()).decode()
