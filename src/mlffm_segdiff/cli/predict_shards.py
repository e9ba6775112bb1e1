"""``mlffm-segdiff predict --shards`` and ``--engine ray``: masks of many images in few files."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mlffm_segdiff.cli.common import ExitStatus, Reporter
from mlffm_segdiff.cli.predict_report import left_out_counts, report_left_out
from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.extra import needs_extra
from mlffm_segdiff.data.decoder_warnings import ignore_decoder_warnings
from mlffm_segdiff.inference.outputs.writers import TableFormat

if TYPE_CHECKING:
    from mlffm_segdiff.inference.prepared import PreparedModel
    from mlffm_segdiff.inference.reading.listing import ImageFiles
    from mlffm_segdiff.inference.shards.job import ShardEngine
    from mlffm_segdiff.inference.shards.plan import ShardOptions

EngineName = Literal["local", "ray"]
ShardsOption = Annotated[
    Literal["tar", "parquet"] | None,
    typer.Option(
        case_sensitive=False,
        help="Write masks, contours and rows into shards: tar files in the layout of WebDataset, or Parquet. "
        "A repeated command resumes [default: no shards; tar with --engine ray].",
    ),
]
ShardSizeOption = Annotated[
    int | None, typer.Option(min=1, help="Images of a shard [default: 1000].", show_default=False)
]
EngineOption = Annotated[
    EngineName,
    typer.Option(case_sensitive=False, help="What makes the shards: this process, or a Ray cluster."),
]
AddressOption = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        help="The Ray cluster; auto: that of this machine; local: one that ends with the command "
        "[default: auto].",
    ),
]
WorkersOption = Annotated[
    int | None,
    typer.Option(min=1, help="Workers on the Ray cluster, of --threads CPUs each [default: as many as fit]."),
]
GpusOption = Annotated[
    float | None,
    typer.Option(min=0, help="GPUs of a worker on the Ray cluster, also a share [default: 0, the CPU]."),
]
Load = Callable[[int | None, Reporter], "PreparedModel"]
"""Returns the model, for a number of threads; a Ray worker receives it pickled."""


@dataclass(frozen=True)
class Cluster:
    """The options of what makes the shards."""

    engine: EngineName
    address: str | None
    workers: int | None
    gpus: float | None

    def __post_init__(self) -> None:
        """Raise UserError for options of a Ray cluster without one."""
        given = {"address": self.address, "workers": self.workers, "gpus": self.gpus}
        for option, value in given.items():
            if value is not None and self.engine != "ray":
                raise UserError(f"--{option} needs --engine ray; add it, or leave out --{option}")


def predict_into_shards(
    found: "ImageFiles",
    load: Load,
    options: "ShardOptions",
    table: TableFormat,
    cluster: Cluster,
    threads: int | None,
    reporter: Reporter,
) -> None:
    """Make the shards, report, and exit with status 1 if images failed."""
    from mlffm_segdiff.inference.shards.job import predict_shards

    with (
        _engine(load, cluster, threads, reporter) as engine,
        reporter.progress("segmenting") as progress,
    ):
        totals = predict_shards(found.images, engine, options, table, progress, reporter.warn)
    path = options.folder / f"predictions.{table}"
    reporter.result(
        {
            "output": options.folder,
            "table": path,
            "shards": totals.shards,
            "images": totals.images,
            **left_out_counts(found, totals.failed, totals.refused),
        }
    )
    done = totals.images - totals.failed - totals.refused
    reporter.info(f"{done} of {totals.images} images segmented into {totals.shards} shards: {options.folder}")
    report_left_out(found, path, totals.failed, totals.refused, reporter)
    if totals.failed:
        raise typer.Exit(ExitStatus.FAULTS)


def _load_on_worker(load: Load, threads: int) -> "PreparedModel":
    ignore_decoder_warnings()
    return load(threads, Reporter(quiet=True))


@contextmanager
def _engine(load: Load, cluster: Cluster, threads: int | None, reporter: Reporter) -> Iterator["ShardEngine"]:
    if cluster.engine == "ray":
        with needs_extra("cluster"):
            from mlffm_segdiff.inference.shards.ray_engine import ray_engine
        on_worker = partial(_load_on_worker, load, threads or 1)
        address, gpus = cluster.address or "auto", cluster.gpus or 0
        with ray_engine(on_worker, address, cluster.workers, threads or 1, gpus) as engine:
            yield engine
    else:
        from mlffm_segdiff.inference.shards.job import LocalEngine

        yield LocalEngine(load(threads, reporter))
