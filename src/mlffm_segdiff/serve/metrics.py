"""Metrics of the running server, in Prometheus's text format."""

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
SIZES = (1, 2, 4, 8, 16, 32, 64)
OTHER = "other"


class Metrics:
    """Requests by route and status, their duration, the queue for the network, its batches, and jobs."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "segdiff_requests", "Requests answered.", ("route", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "segdiff_request_seconds",
            "From the first byte of a request to the last of its response.",
            ("route",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self.in_flight = Gauge(
            "segdiff_requests_in_flight", "Images received and not answered yet.", registry=self.registry
        )
        self.queue_length = Gauge(
            "segdiff_queue_length", "Images waiting for the network.", registry=self.registry
        )
        self.batch_size = Histogram(
            "segdiff_batch_size",
            "Images in one call of the network.",
            buckets=SIZES,
            registry=self.registry,
        )
        self.jobs = Gauge("segdiff_jobs", "Jobs by state.", ("state",), registry=self.registry)
        self.job_images = Counter(
            "segdiff_job_images", "Images of jobs by status.", ("status",), registry=self.registry
        )
        self.job_disk = Gauge("segdiff_job_bytes", "Bytes of all jobs on disk.", registry=self.registry)
        self.streams = Gauge(
            "segdiff_streams", "Clients that read events or ZIP files.", registry=self.registry
        )
        self.model_seconds = Histogram(
            "segdiff_model_seconds", "One call of the network.", buckets=SECONDS, registry=self.registry
        )

    def text(self) -> bytes:
        """Return all metrics in the text format."""
        return generate_latest(self.registry)


class CountRequests:
    """Middleware that counts and times requests; paths without a route count as one."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward the request, and count it once it is answered."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        start, status = time.perf_counter(), 500

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, watch)
        finally:
            route = getattr(scope.get("route"), "path", OTHER)
            self.metrics.requests.labels(route, str(status)).inc()
            self.metrics.seconds.labels(route).observe(time.perf_counter() - start)
        return None
