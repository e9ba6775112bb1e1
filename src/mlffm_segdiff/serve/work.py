"""From an upload to its response."""

from dataclasses import replace
from functools import partial

from fastapi import Request, Response

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.inference.model import Model
from mlffm_segdiff.inference.pool import result_memory
from mlffm_segdiff.inference.reading.case_image import CaseImage
from mlffm_segdiff.inference.result import CaseResult, analyse
from mlffm_segdiff.segmenters.base import Segmentation
from mlffm_segdiff.serve.decoding import decode_upload, decode_uploaded_mask, dicom_response, preview
from mlffm_segdiff.serve.engine import Engine
from mlffm_segdiff.serve.options import (
    FORMATS,
    Format,
    MeasureOptions,
    SegmentOptions,
    response_format,
    with_fields,
)
from mlffm_segdiff.serve.problem import refusal_of
from mlffm_segdiff.serve.responses import (
    MaskResponse,
    SegmentResponse,
    encoded_maps,
    mask_fields,
    mask_png,
    sampling_settings,
)
from mlffm_segdiff.serve.upload import File, read_upload

MEDIA_TYPES = {format_: kind for kind, format_ in FORMATS.items()}


async def segment_upload(engine: Engine, request: Request, options: SegmentOptions) -> Response:
    """Return the segmentation of the image in a request. Raises RefusedError."""
    with engine.slot():
        upload = await read_upload(request, options.name, engine.limits.body_bytes)
        options = with_fields(options, upload.fields)
        wanted = response_format(options.format, request.headers.get("accept", ""))
        sampling = engine.sampling(options.sampling)
        file = upload.file("image")
        decode = partial(decode_upload, file, engine.model.size, engine.limits.pixels, options.preview)
        image = await engine.run_in_thread(decode)
        segmentation = await engine.segment(image, sampling)
        model = replace(engine.model, sampling=sampling)
        content = await engine.run_in_thread(partial(_respond, wanted, image, segmentation, model, options))
    return Response(content, media_type=MEDIA_TYPES[wanted])


async def measure_upload(engine: Engine, request: Request, options: MeasureOptions) -> Response:
    """Return the measures and contours of a mask on its image. Raises RefusedError."""
    with engine.slot():
        upload = await read_upload(request, "", engine.limits.body_bytes)
        options = with_fields(options, upload.fields)
        image, mask = upload.file("image"), upload.file("mask")
        measure = partial(_measure, image, mask, engine, options.mm_per_pixel)
        content = await engine.run_in_thread(measure)
    return Response(content, media_type="application/json")


def _respond(
    wanted: Format, image: CaseImage, segmentation: Segmentation, model: Model, options: SegmentOptions
) -> bytes:
    with result_memory(image.width * image.height):
        try:
            result = analyse(image, segmentation, model, options.processing)
        except UserError as error:
            raise refusal_of(error, image.name) from error
        if wanted == "png":
            return mask_png(result.mask)
        if wanted == "dicom":
            return dicom_response(result)
        fields = mask_fields(result)
    response = SegmentResponse(
        **fields,
        threshold=options.threshold,
        sampling=sampling_settings(model.sampling),
        post_processing=options.processing.post,
        maps=encoded_maps(result) if options.maps else None,
        preview=preview(image) if options.preview else None,
    )
    return response.model_dump_json().encode()


def _measure(image: File, mask: File, engine: Engine, mm_per_pixel: float | None) -> bytes:
    model = engine.model
    case = decode_upload(image, model.size, engine.limits.pixels)
    drawn = decode_uploaded_mask(mask, case.width, case.height)
    with result_memory(case.width * case.height):
        spacing = mm_per_pixel or case.mm_per_pixel
        result = CaseResult(case, drawn, mm_per_pixel=spacing, quality=model.quality)
        return MaskResponse(**mask_fields(result)).model_dump_json().encode()
