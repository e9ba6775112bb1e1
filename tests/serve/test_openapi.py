"""Requests made from the OpenAPI document: answers follow the document and are never a server error."""

from collections.abc import Callable

import httpx2
import numpy as np
import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection

from mlffm_segdiff.serve.keys import ApiKeys

OPERATIONS = [
    ("GET", "/healthz"),
    ("GET", "/metrics"),
    ("GET", "/api/v1/about"),
    ("POST", "/api/v1/segment"),
    ("POST", "/api/v1/measure"),
    ("POST", "/api/v1/batches"),
    ("GET", "/api/v1/batches/{id}"),
    ("DELETE", "/api/v1/batches/{id}"),
    ("GET", "/api/v1/batches/{id}/events"),
    ("GET", "/api/v1/batches/{id}/zip"),
    ("GET", "/api/v1/batches/{id}/results/{path}"),
]
EXAMPLES = 12


def test_every_operation_is_tried(make_app: Callable[..., FastAPI]) -> None:
    paths = make_app().openapi()["paths"]
    assert {(method.upper(), path) for path, found in paths.items() for method in found} == set(OPERATIONS)


def test_the_document_names_the_api_key_of_a_server_that_needs_one(make_app: Callable[..., FastAPI]) -> None:
    schemes = make_app(keys=ApiKeys(["a key of 16 letters"])).openapi()["components"]["securitySchemes"]
    assert [(one["type"], one["scheme"]) for one in schemes.values()] == [("http", "bearer")]
    assert "securitySchemes" not in make_app().openapi()["components"]


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_what_is_documented_is_answered_as_documented(
    make_app: Callable[..., FastAPI], dicom: bytes, png: Callable[..., bytes], method: str, path: str
) -> None:
    def check(case: schemathesis.Case) -> None:
        if isinstance(case.body, dict):  # bytes made at random are not an image
            files = {"image": dicom, "mask": png(np.zeros((16, 16), np.uint8))}
            given = {name: files[name] for name in files if name in case.body}
            if path.endswith("/batches"):
                given["image"] = [dicom]
            case.body |= given
        elif method == "POST":
            case.body = dicom
        case.call_and_validate(excluded_checks=[negative_data_rejection])  # it takes bytes for no string

    try_all(make_app(), method, path, GenerationMode.POSITIVE, check)


@pytest.mark.parametrize("path", ["/api/v1/segment", "/api/v1/measure", "/api/v1/batches"])
def test_what_is_not_documented_is_refused_as_documented(make_app: Callable[..., FastAPI], path: str) -> None:
    def check(case: schemathesis.Case) -> None:
        case.call_and_validate()

    try_all(make_app(), "POST", path, GenerationMode.NEGATIVE, check)


@pytest.mark.parametrize("path", [path for method, path in OPERATIONS if "{id}" in path and method == "GET"])
def test_a_job_is_answered_as_documented(live, dicom: bytes, path: str) -> None:
    job = httpx2.post(f"{live.url}api/v1/batches", files={"image": ("a.dcm", dicom)}).json()
    httpx2.get(live.url + job["url"][1:] + "/events")
    statuses = set()

    def check(case: schemathesis.Case) -> None:
        case.path_parameters |= {"id": job["id"]} | ({"path": "masks/a.png"} if "{path}" in path else {})
        statuses.add(case.call_and_validate(excluded_checks=[negative_data_rejection]).status_code)

    try_operation(
        schemathesis.openapi.from_url(f"{live.url}openapi.json")[path]["GET"], GenerationMode.POSITIVE, check
    )
    assert 200 in statuses


def try_all(
    app: FastAPI, method: str, path: str, mode: GenerationMode, check: Callable[[schemathesis.Case], None]
) -> None:
    try_operation(schemathesis.openapi.from_asgi("/openapi.json", app)[path][method], mode, check)


def try_operation(
    operation: schemathesis.schemas.APIOperation,
    mode: GenerationMode,
    check: Callable[[schemathesis.Case], None],
) -> None:
    checks = settings(
        max_examples=EXAMPLES,
        phases=[Phase.generate],
        derandomize=True,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    checks(given(case=operation.as_strategy(generation_mode=mode))(check))()


def test_the_document_has_only_the_states_of_a_job_that_clients_see(make_app: Callable[..., FastAPI]) -> None:
    state = make_app().openapi()["components"]["schemas"]["JobStatus"]["properties"]["state"]
    assert state["enum"] == ["queued", "running", "done", "failed", "cancelled"]
