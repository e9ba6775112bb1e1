"""``mlffm-segdiff serve``: a page and a REST API on this machine."""

from typing import Annotated

import typer

from mlffm_segdiff.cli.common import JsonOption, QuietOption, Reporter, ThreadsOption, set_threads
from mlffm_segdiff.cli.runtime import PrecisionOption, RuntimeOption, load_graphs
from mlffm_segdiff.config.extra import needs_extra


def serve(
    host: Annotated[str, typer.Option(help="Address to serve on; 0.0.0.0 is every network.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8000,
    weights: Annotated[
        str,
        typer.Option(
            metavar="RUN|WEIGHTS",
            help="A run folder, a folder of weights or of exported graphs, a hub id, or default.",
        ),
    ] = "default",
    batch_size: Annotated[int, typer.Option(min=1, help="Pictures segmented at once.")] = 8,
    queue: Annotated[int, typer.Option(min=1, help="Requests taken at once; further ones get 503.")] = 32,
    max_mb: Annotated[int, typer.Option("--max-mb", min=1, help="Largest request, in MiB.")] = 64,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-host",
            metavar="NAME",
            help="A name that the server is reached by, such as a proxy's. Repeatable. "
            "[default: those of this machine where --host is one of them, else any]",
        ),
    ] = None,
    runtime: RuntimeOption = None,
    precision: PrecisionOption = "float32",
    threads: ThreadsOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Serve a page to segment pictures in the browser, and a REST API (/api/v1/segment, /openapi.json).

    Serves this machine alone unless --host says otherwise. Pictures stay in memory and are forgotten once
    answered. Ctrl-C ends it after the running requests. Needs the extra app.

    Example: mlffm-segdiff serve --port 8000
    """
    with needs_extra("app"):
        from mlffm_segdiff.serve.app import create_app
        from mlffm_segdiff.serve.engine import Limits
        from mlffm_segdiff.serve.guard import allowed_hosts
        from mlffm_segdiff.serve.run import listening_socket, serve_app, url
    from functools import partial

    import torch

    from mlffm_segdiff.inference.model import load_model
    from mlffm_segdiff.segmenters.pretrained import load_pretrained
    from mlffm_segdiff.segmenters.sampling import chosen_sampling

    listening = listening_socket(host, port)
    set_threads(threads)
    reporter = Reporter(quiet, as_json)
    graphs = load_graphs(weights, runtime, precision, reporter)
    pretrained = graphs or load_pretrained(weights)
    if graphs is None:
        model = load_model(pretrained, precision=precision)
    else:
        model = load_model(graphs, device=torch.device("cpu"))
    choose = partial(chosen_sampling, pretrained.recipe)
    limits = Limits(max_mb * 2**20, queue, batch_size)
    app = create_app(model, choose, weights, limits, allowed_hosts(host, allow_host or ()))

    def tell() -> None:
        reporter.info(f"serving on {url(listening)} (Ctrl-C ends)")
        reporter.result({"url": url(listening)})

    serve_app(app, listening, tell)
