"""The server's routes."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from mlffm_segdiff import __version__
from mlffm_segdiff.inference.demo import samples_folder
from mlffm_segdiff.inference.model import Model
from mlffm_segdiff.serve import openapi
from mlffm_segdiff.serve.about import About, about
from mlffm_segdiff.serve.answers import MaskAnswer
from mlffm_segdiff.serve.engine import ChooseSampling, Engine, Limits
from mlffm_segdiff.serve.guard import HEADERS, Guard
from mlffm_segdiff.serve.metrics import CountRequests, Metrics
from mlffm_segdiff.serve.options import MeasureOptions, SegmentOptions, bad_option
from mlffm_segdiff.serve.problem import FAULT, RefusedError
from mlffm_segdiff.serve.work import measure_upload, segment_upload

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def create_app(
    model: Model,
    choose: ChooseSampling,
    weights: str = "default",
    limits: Limits | None = None,
    hosts: Collection[str] | None = None,
) -> FastAPI:
    """Return the server of a model. weights: their name, to be told. hosts: see `Guard`."""
    limits, metrics = limits or Limits(), Metrics()
    engine = Engine(model, choose, limits, metrics)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with engine.running():
            yield

    app = FastAPI(
        title="MLFFM-SegDiff",
        description="Segments skin lesions in dermoscopic pictures. Research software, not a medical device.",
        version=__version__,
        docs_url=None,  # their pages load scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    _add_refusals(app)
    _add_api(app, engine, weights)
    _add_watching(app, engine, metrics)
    _add_page(app)
    app.add_middleware(Guard, hosts=hosts)
    app.add_middleware(CountRequests, metrics=metrics)
    return app


def _add_api(app: FastAPI, engine: Engine, weights: str) -> None:
    @app.post("/api/v1/segment", response_model=None, **openapi.SEGMENT)
    async def segment(request: Request, options: Annotated[SegmentOptions, Query()]) -> Response:
        """Segment a picture.

        By default the mask is that of the posterior mean, computed in one step; samples are drawn only when
        asked for. It is the mask that `mlffm-segdiff predict` writes with the same options, whatever the
        file's name and whoever else asks at the time.
        """
        return await segment_upload(engine, request, options)

    @app.post("/api/v1/measure", response_model=MaskAnswer, **openapi.MEASURE)
    async def measure(request: Request, options: Annotated[MeasureOptions, Query()]) -> Response:
        """Measure a mask on its picture, such as a corrected one, without the network or post-processing."""
        return await measure_upload(engine, request, options)

    @app.get("/api/v1/about")
    async def tell_about() -> About:
        """Return version, weights, default sampling, styles, limits and sample pictures."""
        return about(engine, weights)


def _add_watching(app: FastAPI, engine: Engine, metrics: Metrics) -> None:
    @app.get("/healthz", responses={503: {"description": "Requests are not worked on"}})
    async def healthz() -> JSONResponse:
        """Tell whether requests are worked on."""
        return JSONResponse({"status": "ok"}) if engine.works else JSONResponse({"status": "down"}, 503)

    @app.get("/metrics", response_class=Response, responses=openapi.METRICS)
    async def metrics_text() -> Response:
        """Tell the server's numbers in Prometheus's text format."""
        return Response(metrics.text(), media_type=METRICS_TYPE)


def _add_page(app: FastAPI) -> None:
    page = str(files("mlffm_segdiff.serve") / "page")
    app.mount("/samples", StaticFiles(directory=samples_folder()), "samples")
    app.mount("/", StaticFiles(directory=page, html=True), "page")


def _add_refusals(app: FastAPI) -> None:
    @app.exception_handler(RefusedError)
    async def refuse(_: Request, refusal: RefusedError) -> Response:
        return refusal.response()

    @app.exception_handler(RequestValidationError)
    async def refuse_option(_: Request, error: RequestValidationError) -> Response:
        first: dict[str, Any] = error.errors()[0]
        return bad_option(".".join(map(str, first["loc"][1:])), first["msg"]).response()

    @app.exception_handler(HTTPException)
    async def refuse_plainly(_: Request, error: HTTPException) -> Response:
        mend = "see openapi.json for what there is"
        headers = error.headers or {}
        return RefusedError(error.status_code, str(error.detail), mend, headers=headers).response()

    @app.exception_handler(Exception)
    async def tell_fault(_: Request, __: Exception) -> Response:
        mend = "see the server's log, and report the fault"
        headers = {**HEADERS, "Cache-Control": "no-store"}  # this answer does not pass the guard
        return RefusedError(FAULT, "the server has a fault", mend, headers=headers).response()
