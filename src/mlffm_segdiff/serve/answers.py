"""What is found in a picture, as the REST API tells it."""

import base64
import io
from dataclasses import asdict
from typing import Any

import numpy as np
from PIL import Image
from pydantic import BaseModel

from mlffm_segdiff.inference.measures.case import measure_case
from mlffm_segdiff.inference.model import Answer, Pixels
from mlffm_segdiff.inference.outputs.contours import geojson
from mlffm_segdiff.inference.outputs.outlines import Mask
from mlffm_segdiff.inference.prediction import Prediction
from mlffm_segdiff.segmenters.at_source import Map
from mlffm_segdiff.segmenters.base import Sampling


class Drawn(BaseModel):
    """How the mask was drawn."""

    sampler: str
    steps: int
    samples: int
    seed: int


class MapsAnswer(BaseModel):
    """Maps at the network's size, row by row: base64 of float32, lowest byte first; each size x size numbers.

    probability: in [0, 1]. spread: the samples' standard deviation. samples: each sample's own map.
    """

    size: int
    probability: str
    spread: str
    samples: list[str]


class MaskAnswer(BaseModel):
    """What a mask holds.

    measures: docs/MEASURES.md; null where it cannot be told. contours: GeoJSON, in pixels.
    """

    name: str
    width: int
    height: int
    mm_per_pixel: float | None
    measures: dict[str, float | int | None]
    contours: dict[str, Any]


class SegmentAnswer(MaskAnswer):
    """A picture's segmentation. maps, preview: where asked for."""

    threshold: float
    sampling: Drawn
    maps: MapsAnswer | None = None
    preview: str | None = None


def mask_values(
    name: str, view: Pixels, prediction: Prediction, mm_per_pixel: float | None, samples: int
) -> dict[str, Any]:
    """Return the values of a `MaskAnswer`. view: see `view_of`. samples: how many the spread is of."""
    height, width = prediction.mask.shape
    measures = asdict(measure_case(view, prediction, mm_per_pixel))
    if samples < 2:
        measures["mean_spread"] = None
    return {
        "name": name,
        "width": width,
        "height": height,
        "mm_per_pixel": mm_per_pixel,
        "measures": measures,
        "contours": geojson(prediction.mask, name),
    }


def drawn(sampling: Sampling) -> Drawn:
    """Return what of the sampling is told."""
    return Drawn(sampler=sampling.sampler, steps=sampling.steps, samples=sampling.samples, seed=sampling.seed)


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
