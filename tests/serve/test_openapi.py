"""Requests made from the OpenAPI document: answers follow the document and are never a server error."""

from collections.abc import Callable

import numpy as np
import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection

OPERATIONS = [
    ("GET", "/healthz"),
    ("GET", "/metrics"),
    ("GET", "/api/v1/about"),
    ("POST", "/api/v1/segment"),
    ("POST", "/api/v1/measure"),
]
EXAMPLES = 12


def test_every_operation_is_tried(make_app: Callable[..., FastAPI]) -> None:
    paths = make_app().openapi()["paths"]
    assert {(method.upper(), path) for path, found in paths.items() for method in found} == set(OPERATIONS)


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_what_is_documented_is_answered_as_documented(
    make_app: Callable[..., FastAPI], dicom: bytes, png: Callable[..., bytes], method: str, path: str
) -> None:
    def check(case: schemathesis.Case) -> None:
        if isinstance(case.body, dict):  # bytes made at random are not an image
            files = {"image": dicom, "mask": png(np.zeros((16, 16), np.uint8))}
            case.body |= {name: files[name] for name in files if name in case.body}
        elif method == "POST":
            case.body = dicom
        case.call_and_validate(excluded_checks=[negative_data_rejection])  # it takes bytes for no string

    try_all(make_app(), method, path, GenerationMode.POSITIVE, check)


@pytest.mark.parametrize("path", ["/api/v1/segment", "/api/v1/measure"])
def test_what_is_not_documented_is_refused_as_documented(make_app: Callable[..., FastAPI], path: str) -> None:
    def check(case: schemathesis.Case) -> None:
        case.call_and_validate()

    try_all(make_app(), "POST", path, GenerationMode.NEGATIVE, check)


def try_all(
    app: FastAPI, method: str, path: str, mode: GenerationMode, check: Callable[[schemathesis.Case], None]
) -> None:
    operation = schemathesis.openapi.from_asgi("/openapi.json", app)[path][method]
    checks = settings(
        max_examples=EXAMPLES,
        phases=[Phase.generate],
        derandomize=True,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    checks(given(case=operation.as_strategy(generation_mode=mode))(check))()
