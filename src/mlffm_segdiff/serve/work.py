"""From an upload to its answer."""

from dataclasses import asdict, replace
from functools import partial

import numpy as np
from fastapi import Request, Response

from mlffm_segdiff.inference.model import Answer, Model
from mlffm_segdiff.inference.outputs.outlines import Mask
from mlffm_segdiff.inference.pool import large_in_turn
from mlffm_segdiff.inference.prediction import Prediction, predict_source
from mlffm_segdiff.inference.quality import case_certainty, expected_dice
from mlffm_segdiff.inference.reading import FilePicture
from mlffm_segdiff.serve.answers import (
    CleanedBy,
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
from mlffm_segdiff.serve.received import dicom_answer, preview, receive, receive_mask
from mlffm_segdiff.serve.upload import File, read_upload

MEDIA_TYPES = {format_: kind for kind, format_ in FORMATS.items()}


async def segment_upload(engine: Engine, request: Request, options: SegmentOptions) -> Response:
    """Return the segmentation of the picture in a request. Raises RefusedError."""
    with engine.admitted():
        upload = await read_upload(request, options.name, engine.limits.body_bytes)
        options = with_fields(options, upload.fields)
        wanted = answer_format(options.format, request.headers.get("accept", ""))
        sampling = engine.sampling(options.sampling)
        file = upload.file("picture")
        received = await engine.aside(partial(receive, file, engine.model.size))
        answer = await engine.answer(received.picture, sampling)
        model = replace(engine.model, sampling=sampling)
        content = await engine.aside(partial(_answered, wanted, received, answer, model, options))
    return Response(content, media_type=MEDIA_TYPES[wanted])


async def measure_upload(engine: Engine, request: Request, options: MeasureOptions) -> Response:
    """Return the measures and contours of a mask on its picture. Raises RefusedError."""
    with engine.admitted():
        upload = await read_upload(request, "", engine.limits.body_bytes)
        options = with_fields(options, upload.fields)
        picture, mask = upload.file("picture"), upload.file("mask")
        content = await engine.aside(partial(_measured, picture, mask, engine.model, options.mm_per_pixel))
    return Response(content, media_type="application/json")


def _answered(
    wanted: Format, file: FilePicture, answer: Answer, model: Model, options: SegmentOptions
) -> bytes:
    with large_in_turn(file.picture.width * file.picture.height):
        prediction = predict_source(answer, options.threshold, options.post)
        if wanted == "png":
            return mask_png(prediction.mask)
        if wanted == "dicom":
            return dicom_answer(file, prediction)
        values = mask_values(file, prediction, model, options.mm_per_pixel)
        del prediction  # its maps are not held while the preview waits for its turn
    told = SegmentAnswer(
        **values,
        threshold=options.threshold,
        sampling=drawn(model.sampling),
        post_processing=CleanedBy(**asdict(options.post)),
        maps=maps_answer(answer) if options.maps else None,
        preview=preview(file) if options.preview else None,
    )
    told.quality.expected_dice = expected_dice(answer, model, options.threshold, options.post)
    told.quality.certainty = case_certainty(answer)
    return told.model_dump_json().encode()


def _measured(picture: File, mask: File, model: Model, mm_per_pixel: float | None) -> bytes:
    file = receive(picture, model.size)
    with large_in_turn(file.picture.width * file.picture.height):
        prediction = certain(receive_mask(mask, file.picture.width, file.picture.height))
        alone = replace(model, sampling=replace(model.sampling, samples=0))
        values = mask_values(file, prediction, alone, mm_per_pixel)
    return MaskAnswer(**values).model_dump_json().encode()


def certain(mask: Mask) -> Prediction:
    """Return a mask (HxW bool) that is not in doubt, as drawn by hand, as a prediction."""
    probability = mask.astype(np.float32)
    return Prediction(mask, probability, np.zeros_like(probability))
