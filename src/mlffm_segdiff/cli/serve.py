"""``mlffm-segdiff serve``: a page and a REST API on this machine."""

from pathlib import Path
from typing import Annotated

import typer

from mlffm_segdiff.cli.common import (
    DeviceOption,
    JsonOption,
    QuietOption,
    Reporter,
    ThreadsOption,
    set_threads,
)
from mlffm_segdiff.cli.runtime import (
    PrecisionOption,
    RuntimeOption,
    WeightsOrGraphsOption,
    load_weights,
)
from mlffm_segdiff.cli.sampling import SamplesOption, SamplingArgument, StyleOption, sampling_overrides
from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.extra import needs_extra
from mlffm_segdiff.segmenters.device import AUTO


def serve(
    sampling: SamplingArgument = None,
    host: Annotated[str, typer.Option(help="Address to serve on; 0.0.0.0 for all networks.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 selects a free one.")] = 8000,
    weights: WeightsOrGraphsOption = "default",
    samples: SamplesOption = None,
    style: StyleOption = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images segmented at once.")] = 8,
    queue: Annotated[
        int, typer.Option(min=1, help="Uploaded requests in progress or waiting; more get 503.")
    ] = 32,
    max_mb: Annotated[int, typer.Option("--max-mb", min=1, help="Largest request, in MiB.")] = 64,
    max_total_mb: Annotated[
        int | None,
        typer.Option(
            "--max-total-mb",
            min=1,
            help="Memory of all uploads together, in MiB. [default: 512, or --max-mb if that is more]",
        ),
    ] = None,
    max_megapixels: Annotated[
        int, typer.Option("--max-megapixels", min=1, max=200, help="Largest image, in megapixels.")
    ] = 50,
    max_evaluations: Annotated[
        int,
        typer.Option(
            "--max-evaluations",
            min=1,
            help="Evaluations of the network per image: samples times steps, times 4 with mirror images, "
            "times 2 with a box.",
        ),
    ] = 256,
    per_client: Annotated[
        int, typer.Option("--per-client", min=1, help="Requests of one remote address at the same time.")
    ] = 16,
    max_jobs: Annotated[
        int, typer.Option("--max-jobs", min=1, help="Batch jobs kept at the same time.")
    ] = 32,
    jobs_per_client: Annotated[
        int, typer.Option("--jobs-per-client", min=1, help="Batch jobs of one remote address.")
    ] = 4,
    max_job_images: Annotated[
        int, typer.Option("--max-job-images", min=1, help="Images of one batch job.")
    ] = 500,
    max_job_mb: Annotated[
        int, typer.Option("--max-job-mb", min=1, help="Images of one batch job, in MiB.")
    ] = 2048,
    max_disk_mb: Annotated[
        int, typer.Option("--max-disk-mb", min=1, help="Files of all batch jobs, in MiB.")
    ] = 8192,
    job_minutes: Annotated[
        int, typer.Option("--job-minutes", min=1, help="Minutes for which the results of a job are kept.")
    ] = 60,
    api_key_file: Annotated[
        Path | None,
        typer.Option(
            "--api-key-file",
            metavar="FILE",
            help="Require one of the API keys in this file, one per line.",
        ),
    ] = None,
    tls_cert: Annotated[
        Path | None, typer.Option("--tls-cert", metavar="FILE", help="Serve HTTPS with this PEM certificate.")
    ] = None,
    tls_key: Annotated[
        Path | None,
        typer.Option("--tls-key", metavar="FILE", help="Its private key, if in a file of its own."),
    ] = None,
    trust_proxy: Annotated[
        list[str] | None,
        typer.Option(
            "--trust-proxy",
            metavar="ADDRESS",
            help="A proxy whose X-Forwarded-For names the client, for --per-client. Repeatable.",
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-host",
            metavar="NAME",
            help="A host name under which clients reach the server, such as a proxy's. Repeatable. "
            "[default: localhost and --host; any name if --host is 0.0.0.0 or ::]",
        ),
    ] = None,
    worker: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            show_default=False,
            help="Name of this server among several behind a proxy; the ids of its batch jobs start with it.",
        ),
    ] = "",
    runtime: RuntimeOption = None,
    precision: PrecisionOption = "float32",
    device: DeviceOption = AUTO,
    threads: ThreadsOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Serve a page to segment images in the browser, and a REST API (/api/v1/segment, /openapi.json).

    Serves only this machine unless --host says otherwise; then use --api-key-file and --tls-cert. Sampling
    settings given here are the default of each request. Images stay in memory and are deleted after the
    response; those of batch jobs are in a temporary folder until the job is removed. Ctrl-C stops
    the server after the running requests. Needs the extra app.

    Example: mlffm-segdiff serve --port 8000
    """
    with needs_extra("app"):
        from mlffm_segdiff.serve.admission import client_of
        from mlffm_segdiff.serve.app import create_app
        from mlffm_segdiff.serve.guard import allowed_hosts
        from mlffm_segdiff.serve.jobs import temporary_folder
        from mlffm_segdiff.serve.keys import read_keys
        from mlffm_segdiff.serve.limits import Limits
        from mlffm_segdiff.serve.run import Transport, listening_socket, serve_app, url
    from functools import partial

    from mlffm_segdiff.inference.model import load_model
    from mlffm_segdiff.segmenters.device import find_device
    from mlffm_segdiff.segmenters.sampling import chosen_sampling, override_sampling

    overrides = sampling_overrides(sampling, samples, style)
    transport = Transport(tls_cert, tls_key, tuple(trust_proxy or ()))
    hosts = allowed_hosts(host, allow_host or ())
    keys = None if api_key_file is None else read_keys(api_key_file)
    if max_total_mb is not None and max_total_mb < max_mb:
        raise UserError(
            f"--max-total-mb {max_total_mb} is less than --max-mb {max_mb}, so the largest request would "
            f"never be accepted; give at least {max_mb}"
        )
    temporary_folder()
    find_device(device)
    listening = listening_socket(host, port)
    set_threads(threads)
    reporter = Reporter(quiet, as_json)
    pretrained, place, on_graphs = load_weights(weights, runtime, precision, device, reporter)
    pretrained.recipe = override_sampling(pretrained.recipe, overrides)
    model = load_model(pretrained, "float32" if on_graphs else precision, place, batch_size)
    choose = partial(chosen_sampling, pretrained.recipe)
    limits = Limits(
        body_bytes=max_mb * 2**20,
        total_bytes=max(max_mb * 2**20, Limits.total_bytes) if max_total_mb is None else max_total_mb * 2**20,
        queue=queue,
        batch=batch_size,
        pixels=max_megapixels * 1_000_000,
        evaluations=max_evaluations,
        per_client=per_client,
        jobs=max_jobs,
        jobs_per_client=jobs_per_client,
        job_images=max_job_images,
        job_bytes=max_job_mb * 2**20,
        disk_bytes=max_disk_mb * 2**20,
        job_seconds=60 * job_minutes,
    )
    app = create_app(model, choose, weights, limits, hosts, keys, worker)
    address = url(listening, tls_cert is not None)
    if keys is None and client_of(listening.getsockname()[0]) is not None:
        reporter.warn(f"anyone who can reach {host} can use this server; see --api-key-file and --tls-cert")

    def announce() -> None:
        reporter.info(f"serving on {address} (Ctrl-C stops)")
        reporter.result({"url": address})

    serve_app(app, listening, announce, transport)
