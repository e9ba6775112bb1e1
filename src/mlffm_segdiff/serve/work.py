"""From an upload to its answer."""

from functools import partial
from typing import Any

import numpy as np
from fastapi import Request, Response

from mlffm_segdiff.inference.measures.colour import view_of
from mlffm_segdiff.inference.model import Answer, Picture
from mlffm_segdiff.inference.outputs.outlines import Mask
from mlffm_segdiff.inference.prediction import Prediction, predict_source
from mlffm_segdiff.segmenters.base import Sampling
from mlffm_segdiff.serve.answers import (
    MaskAnswer,
    SegmentAnswer,
    drawn,
    maps_answer,
    mask_png,
    mask_values,
)
from mlffm_segdiff.serve.engine import Engine
from mlffm_segdiff.serve.options import (
    FORMATS,
    Format,
    MeasureOptions,
    SegmentOptions,
    answer_format,
    with_fields,
)
from mlffm_segdiff.serve.received import Received, receive, receive_mask
from mlffm_segdiff.serve.upload import File, read_upload

MEDIA_TYPES = {format_: kind for kind, format_ in FORMATS.items()}


async def segment_upload(engine: Engine, request: Request, options: SegmentOptions) -> Response:
    """Return the segmentation of the picture in a request. Raises RefusedError."""
    with engine.admitted():
        upload = await read_upload(request, options.name, engine.limits.body_bytes)
        options = with_fields(options, upload.fields)
        wanted = answer_format(options.format, request.headers.get("accept", ""))
        sampling = engine.sampling(options.steps, options.samples)
        file = upload.file("picture")
        received, picture = await engine.aside(partial(_read, file, engine.model.size))
        answer = await engine.answer(picture, sampling)
        content = await engine.aside(partial(_answered, wanted, received, answer, sampling, options))
    return Response(content, media_type=MEDIA_TYPES[wanted])


async def measure_upload(engine: Engine, request: Request, options: MeasureOptions) -> Response:
    """Return the measures and contours of a mask on its picture. Raises RefusedError."""
    with engine.admitted():
        upload = await read_upload(request, "", engine.limits.body_bytes)
        options = with_fields(options, upload.fields)
        picture, mask = upload.file("picture"), upload.file("mask")
        content = await engine.aside(partial(_measured, picture, mask, options.mm_per_pixel))
    return Response(content, media_type="application/json")


def _read(file: File, size: int) -> tuple[Received, Picture]:
    received = receive(file)
    return received, received.shrunk(size)


def _answered(
    wanted: Format, received: Received, answer: Answer, sampling: Sampling, options: SegmentOptions
) -> bytes:
    prediction = predict_source(answer, options.threshold)
    if wanted == "png":
        return mask_png(prediction.mask)
    if wanted == "dicom":
        return received.dicom_seg(prediction)
    told = SegmentAnswer(
        **_mask_values(received, prediction, options.mm_per_pixel, sampling.samples),
        threshold=options.threshold,
        sampling=drawn(sampling),
        maps=maps_answer(answer) if options.maps else None,
        preview=received.preview() if options.preview else None,
    )
    return told.model_dump_json().encode()


def _measured(picture: File, mask: File, mm_per_pixel: float | None) -> bytes:
    received = receive(picture)
    found = receive_mask(mask, received.image)
    told = _mask_values(received, certain(found), mm_per_pixel, samples=1)
    return MaskAnswer(**told).model_dump_json().encode()


def certain(mask: Mask) -> Prediction:
    """Return a mask (HxW bool) that is not in doubt, as drawn by hand, as a prediction."""
    probability = mask.astype(np.float32)
    return Prediction(mask, probability, np.zeros_like(probability))


def _mask_values(
    received: Received, prediction: Prediction, mm_per_pixel: float | None, samples: int
) -> dict[str, Any]:
    spacing = mm_per_pixel or received.mm_per_pixel
    return mask_values(received.file.name, view_of(received.image), prediction, spacing, samples)
