"""The routes of the server."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from importlib.metadata import version
from importlib.resources import files
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response, Security
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPBearer
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.routing import Route

from mlffm_segdiff.config.extra import DISTRIBUTION
from mlffm_segdiff.inference.demo import samples_folder
from mlffm_segdiff.inference.model import Model
from mlffm_segdiff.serve import openapi
from mlffm_segdiff.serve.about import About, about
from mlffm_segdiff.serve.draining import Drain
from mlffm_segdiff.serve.engine import ChooseSampling, Engine
from mlffm_segdiff.serve.guard import ALL_HEADERS, Guard
from mlffm_segdiff.serve.job_routes import add_jobs
from mlffm_segdiff.serve.jobs import Jobs
from mlffm_segdiff.serve.keys import ApiKeys
from mlffm_segdiff.serve.limits import Limits
from mlffm_segdiff.serve.metrics import CountRequests, Metrics
from mlffm_segdiff.serve.options import MeasureOptions, SegmentOptions, bad_option
from mlffm_segdiff.serve.problem import FAULT, NOT_ALLOWED, RefusedError
from mlffm_segdiff.serve.work import measure_upload, segment_upload

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def create_app(
    model: Model,
    choose: ChooseSampling,
    weights: str = "default",
    limits: Limits | None = None,
    hosts: Collection[str] | None = None,
    keys: ApiKeys | None = None,
    worker: str = "",
) -> FastAPI:
    """Return the application that serves a model.

    Args:
        model: Model that segments the images; its sampling is the default.
        choose: Turns the sampling overrides of a request into a sampling.
        weights: Name of the weights, for the metadata.
        limits: Limits of what the server accepts.
        hosts: See `Guard`.
        keys: See `Guard`.
        worker: See `Jobs`.
    """
    limits, metrics = limits or Limits(), Metrics()
    engine = Engine(model, choose, limits, metrics)
    jobs = Jobs(engine, metrics, worker=worker)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with engine.running(), jobs.running():
            yield

    app = FastAPI(
        title="MLFFM-SegDiff",
        description="Segments skin lesions in dermoscopic images. Research software, not a medical device.",
        version=version(DISTRIBUTION),
        dependencies=[Security(HTTPBearer(auto_error=False))] if keys else [],  # for the document only
        docs_url=None,  # their pages load scripts of other sites
        redoc_url=None,
        lifespan=lifespan,
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    _add_refusals(app)
    _add_api(app, engine, weights)
    add_jobs(app, jobs, metrics, keys)
    app.state.on_stop = jobs.stop
    _add_monitoring(app, engine, metrics)
    _add_page(app)
    app.add_middleware(Guard, hosts=hosts, keys=keys)
    app.add_middleware(CountRequests, metrics=metrics)
    app.add_middleware(Drain)
    return app


def _add_api(app: FastAPI, engine: Engine, weights: str) -> None:
    @app.post("/api/v1/segment", response_model=None, **openapi.SEGMENT)
    async def segment(request: Request, options: Annotated[SegmentOptions, Query()]) -> Response:
        """Segment an image.

        By default the mask is that of the posterior mean, computed in one step; samples are drawn only on
        request. It is the mask that `mlffm-segdiff predict` writes with the same options, whatever the file's
        name and the other requests at the time.
        """
        return await segment_upload(engine, request, options)

    @app.post("/api/v1/measure", response_model=None, **openapi.MEASURE)
    async def measure(request: Request, options: Annotated[MeasureOptions, Query()]) -> Response:
        """Measure a mask on its image, or save it as a DICOM SEG, without the network or post-processing.

        Such a mask was corrected or drawn by a person, which the DICOM SEG says.
        """
        return await measure_upload(engine, request, options)

    @app.get("/api/v1/about")
    async def metadata() -> About:
        """Server metadata: version, weights, default sampling, styles, limits, sample images."""
        return about(engine, weights)


def _add_monitoring(app: FastAPI, engine: Engine, metrics: Metrics) -> None:
    @app.get("/healthz", responses={503: {"description": "Requests are not processed"}})
    async def healthz() -> JSONResponse:
        """Report whether requests are processed."""
        return JSONResponse({"status": "ok"}) if engine.works else JSONResponse({"status": "down"}, 503)

    @app.get("/metrics", response_class=Response, responses=openapi.METRICS)
    async def metrics_text() -> Response:
        """Report the metrics of the server in Prometheus's text format."""
        return Response(metrics.text(), media_type=METRICS_TYPE)


def _add_page(app: FastAPI) -> None:
    served = files("mlffm_segdiff.serve")
    page = StaticFiles(directory=str(served / "page"), html=True)
    app.mount("/reference", StaticFiles(directory=str(served / "reference"), html=True), "reference")
    app.mount("/samples", StaticFiles(directory=samples_folder()), "samples")
    for path in ("/", "/{name}"):  # a mount at / would answer 404 to a wrong method of the API
        app.router.routes.append(Route(path, page, methods=["GET"]))


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
        hint = "see openapi.json for the routes"
        headers = {"Allow": "GET, HEAD"} if error.status_code == NOT_ALLOWED else {}
        headers |= error.headers or {}
        return RefusedError(error.status_code, str(error.detail), hint, headers=headers).response()

    @app.exception_handler(Exception)
    async def report_fault(_: Request, __: Exception) -> Response:
        hint = "see the server's log, and report the bug"
        response = RefusedError(FAULT, "the server has a fault", hint).response()
        response.raw_headers += ALL_HEADERS
        return response
