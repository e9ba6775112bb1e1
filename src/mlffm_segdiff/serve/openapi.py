"""The parts of the OpenAPI document that FastAPI cannot read from the code of the routes."""

from typing import Any

from mlffm_segdiff.serve.options import MeasureOptions, SegmentOptions
from mlffm_segdiff.serve.problem import Problem
from mlffm_segdiff.serve.responses import SegmentResponse

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
        "description": "The queue is full; try again after Retry-After",
        "headers": RETRY,
    },
}


def _form(options: type[MeasureOptions], *files: str) -> dict[str, Any]:
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
    "responses": REFUSALS,
    "openapi_extra": {"requestBody": {"required": True, "content": _form(MeasureOptions, "image", "mask")}},
}
METRICS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Prometheus's text format",
        "content": {"text/plain": {"schema": {"type": "string"}}},
    }
}
