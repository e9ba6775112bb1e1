"""From an upload to its response."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import partial
from typing import Any

from fastapi import Request, Response

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.inference.analysis import analyse, require_supported
from mlffm_segdiff.inference.model import Model
from mlffm_segdiff.inference.outputs.image_file import mask_png
from mlffm_segdiff.inference.pool import result_memory
from mlffm_segdiff.inference.prompt import PromptedImage
from mlffm_segdiff.inference.reading.case_image import CaseImage
from mlffm_segdiff.inference.result import CaseResult
from mlffm_segdiff.segmenters.network_output import NetworkOutput
from mlffm_segdiff.serve.decoding import (
    count_pixels,
    decode_upload,
    decode_uploaded_mask,
    dicom_response,
    preview,
)
from mlffm_segdiff.serve.disconnect import while_connected
from mlffm_segdiff.serve.engine import Engine
from mlffm_segdiff.serve.options import (
    FORMATS,
    Format,
    MeasureOptions,
    SegmentOptions,
    response_format,
    with_fields,
)
from mlffm_segdiff.serve.problem import FAULT, RefusedError, refusal_of
from mlffm_segdiff.serve.responses import MaskResponse, mask_fields, segment_response
from mlffm_segdiff.serve.upload import File, Upload, read_upload, require_once

MEDIA_TYPES = {format_: kind for kind, format_ in FORMATS.items()}


Work = Callable[[Upload], Coroutine[Any, Any, Response]]


async def segment_upload(engine: Engine, request: Request, options: SegmentOptions) -> Response:
    """Return the segmentation of the image in a request. Raises RefusedError."""
    accept = request.headers.get("accept", "")
    return await _admitted(engine, request, options.name, partial(_segment, engine, options, accept))


async def measure_upload(engine: Engine, request: Request, options: MeasureOptions) -> Response:
    """Return the measures and contours of a mask on its image, or its DICOM SEG. Raises RefusedError."""
    return await _admitted(engine, request, "", partial(_measure, engine, options))


async def _admitted(engine: Engine, request: Request, name: str, work: Work) -> Response:
    """Read an upload, then work on it for as long as its client stays connected.

    The work takes a queue slot itself: an upload in progress has none.
    """
    client = request.client.host if request.client else ""
    require_once(name for name, _ in request.query_params.multi_items())
    with engine.clients.request(client), engine.memory.upload() as held:
        engine.queue.require_free()
        upload = await read_upload(request, name, engine.limits.body_bytes, held)
        return await while_connected(request, work(upload))


async def _segment(engine: Engine, options: SegmentOptions, accept: str, upload: Upload) -> Response:
    options = with_fields(options, upload.fields)
    wanted = response_format(options.format, accept)
    inputs = options.prompt.input_count
    sampling = engine.sampling(options.sampling, inputs)
    (file,) = upload.only("image")
    model = replace(engine.model, sampling=sampling)
    _require_level(model, options)
    with engine.slot():
        pixels = await engine.run_in_thread(partial(count_pixels, file, engine.limits.pixels))
        with engine.heavy_slot(pixels, sampling, inputs):
            decode = partial(decode_upload, file, model.size, engine.limits.pixels, options.preview)
            image = await engine.run_in_thread(decode, pixels)
            prompted = _prompted(image, options)
            asked = [engine.segment(one, sampling) for one in prompted.inputs]
            segmentation = prompted.output(await asyncio.gather(*asked), options.threshold)
            respond = partial(_respond, wanted, image, segmentation, model, options)
            content = await engine.run_in_thread(respond, pixels)
    return Response(content, media_type=MEDIA_TYPES[wanted])


async def _measure(engine: Engine, options: MeasureOptions, upload: Upload) -> Response:
    options = with_fields(options, upload.fields)
    image, mask = upload.only("image", "mask")
    with engine.slot():
        counts = [partial(count_pixels, file, engine.limits.pixels) for file in (image, mask)]
        pixels = max([await engine.run_in_thread(count) for count in counts])
        with engine.heavy_slot(pixels, engine.model.sampling):
            measure = partial(_measures, image, mask, engine, options)
            content = await engine.run_in_thread(measure, pixels)
    return Response(content, media_type=MEDIA_TYPES[options.format])


def _require_level(model: Model, options: SegmentOptions) -> None:
    try:
        require_supported(model, options.processing)
    except UserError as error:
        raise refusal_of(error, "") from None


def _prompted(image: CaseImage, options: SegmentOptions) -> PromptedImage:
    try:
        return PromptedImage(image, options.prompt)
    except UserError as error:
        raise refusal_of(error, image.name) from error


def _respond(
    wanted: Format, image: CaseImage, segmentation: NetworkOutput, model: Model, options: SegmentOptions
) -> bytes:
    with result_memory(image.width * image.height):
        try:
            result = analyse(image, segmentation, model, options.processing, options.prompt.given)
        except UserError as error:
            raise RefusedError(FAULT, error.problem, error.fix, image.name) from error
        if wanted == "png":
            return mask_png(result.mask)
        if wanted == "dicom":
            return dicom_response(result)
        try:
            shown = preview(image) if options.preview else None
        except UserError as error:
            raise refusal_of(error, image.name) from error
        parts = options.band, options.maps, shown
        response = segment_response(result, model.sampling, options.processing, *parts)
        return response.model_dump_json().encode()


def _measures(image: File, mask: File, engine: Engine, options: MeasureOptions) -> bytes:
    model = engine.model
    case = decode_upload(image, model.size, engine.limits.pixels)
    drawn = decode_uploaded_mask(mask, case.width, case.height)
    with result_memory(case.width * case.height):
        spacing = options.mm_per_pixel or case.mm_per_pixel
        result = CaseResult(case, drawn, mm_per_pixel=spacing, quality=model.quality)
        if options.format == "dicom":
            return dicom_response(result)
        return MaskResponse(**mask_fields(result)).model_dump_json().encode()
