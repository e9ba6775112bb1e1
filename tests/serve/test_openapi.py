"""Requests made from the OpenAPI document: answers are what the document says, never a fault."""

from collections.abc import Callable

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode

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


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_answers_are_as_documented(
    make_app: Callable[..., FastAPI], method: str, path: str, mode: GenerationMode
) -> None:
    operation = schemathesis.openapi.from_asgi("/openapi.json", make_app())[path][method]
    if mode == GenerationMode.NEGATIVE and method == "GET":
        return  # nothing about them can be wrong

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=EXAMPLES,
        phases=[Phase.generate],
        derandomize=True,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    def check(case: schemathesis.Case) -> None:
        case.call_and_validate()

    check()
