"""The parts of the OpenAPI document that FastAPI cannot read from the code of the routes."""

from typing import Any

from mlffm_segdiff.serve.options import JobOptions, MeasureOptions, PixelOptions, SegmentOptions
from mlffm_segdiff.serve.problem import Problem
from mlffm_segdiff.serve.responses import MaskResponse, SegmentResponse

BINARY = {"schema": {"type": "string", "format": "binary"}}
RETRY = {"Retry-After": {"description": "Seconds", "schema": {"type": "integer", "minimum": 1}}}

REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "The body is broken"},
    401: {"model": Problem, "description": "The server needs an API key"},
    403: {
        "model": Problem,
        "description": "The page of another site, or an unknown host name",
    },
    408: {"model": Problem, "description": "The upload took too long"},
    413: {"model": Problem, "description": "The request is too large"},
    415: {"model": Problem, "description": "The file is not an image, or the body is of another type"},
    422: {"model": Problem, "description": "A file is damaged, or a parameter is out of range"},
    429: {"model": Problem, "description": "Too many requests of one client", "headers": RETRY},
    503: {
        "model": Problem,
        "description": "The queue or disk is full, or the server is stopping; try again after Retry-After",
        "headers": RETRY,
    },
}


def _form(options: type[PixelOptions], *files: str) -> dict[str, Any]:
    """Return the schema of a form with these files, and the options as its fields."""
    fields = options.model_json_schema()["properties"]
    file = {"type": "string", "contentMediaType": "application/octet-stream"}
    properties = {**dict.fromkeys(files, file), **fields}
    schema = {
        "type": "object",
        "required": list(files),
        "properties": properties,
        "additionalProperties": False,
    }
    return {"multipart/form-data": {"schema": schema}}


SEGMENT: dict[str, Any] = {
    "responses": {
        200: {
            "model": SegmentResponse,
            "description": "Measures and contours; or the mask as PNG, 0 and 255; or a DICOM SEG",
            "content": {"image/png": BINARY, "application/dicom": BINARY},
        },
        **REFUSALS,
        406: {"model": Problem, "description": "The header Accept names no supported type"},
    },
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {
                **_form(SegmentOptions, "image"),
                "image/*": BINARY,
                "application/dicom": BINARY,
                "application/octet-stream": BINARY,
            },
        }
    },
}
MEASURE: dict[str, Any] = {
    "responses": {
        200: {
            "model": MaskResponse,
            "description": "Measures and contours; or the mask as a DICOM SEG",
            "content": {"application/dicom": BINARY},
        },
        **REFUSALS,
    },
    "openapi_extra": {"requestBody": {"required": True, "content": _form(MeasureOptions, "image", "mask")}},
}
NO_JOB: dict[int | str, dict[str, Any]] = {
    401: REFUSALS[401],
    403: REFUSALS[403],
    404: {"model": Problem, "description": "There is no such job or file"},
}
OF_JOB: dict[int | str, dict[str, Any]] = {**NO_JOB, 422: REFUSALS[422]}
START_JOB: dict[str, Any] = {
    "responses": {
        **REFUSALS,
        202: {"description": "The job was started", "headers": {"Location": {"schema": {"type": "string"}}}},
    },
    "openapi_extra": {"requestBody": {"required": True, "content": _form(JobOptions)}},
}
_JOB_FORM = START_JOB["openapi_extra"]["requestBody"]["content"]["multipart/form-data"]["schema"]
_JOB_FORM["properties"]["image"] = {"type": "array", "minItems": 1, "items": BINARY["schema"]}
_JOB_FORM["required"] = ["image"]
STREAM = {**OF_JOB, 429: REFUSALS[429], 503: REFUSALS[503]}
EVENT = {
    "type": "object",
    "required": ["id", "event", "data"],
    "properties": {
        "id": {"type": "string", "description": "Number of the image; for end one more than their count."},
        "event": {"enum": ["image", "end"]},
        "data": {
            "type": "string",
            "contentMediaType": "application/json",
            "description": "Of image: number, count, image as in the job's state. Of end: the job's state "
            "without images.",
        },
    },
}
EVENTS: dict[int | str, dict[str, Any]] = {
    **STREAM,
    200: {"description": "Events", "content": {"text/event-stream": {"schema": EVENT}}},
    204: {"description": "The job has ended, and the client has all events"},
}
ZIP: dict[int | str, dict[str, Any]] = {
    **STREAM,
    200: {"description": "The files", "content": {"application/zip": BINARY}},
    409: {"model": Problem, "description": "The job is not done"},
}
RESULT: dict[int | str, dict[str, Any]] = {
    **OF_JOB,
    200: {"description": "The file", "content": {"*/*": BINARY}},
}
METRICS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Prometheus's text format",
        "content": {"text/plain": {"schema": {"type": "string"}}},
    }
}
