"""``mlffm-segdiff plan``: time and cost of segmenting very many images, before it is done."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlffm_segdiff.cli.common import DeviceOption, JsonOption, QuietOption, Reporter, refuse_given
from mlffm_segdiff.cli.runtime import RuntimeOption, WeightsOrGraphsOption, prepare_model
from mlffm_segdiff.cli.sampling import SamplesOption, SamplingArgument, sampling_overrides
from mlffm_segdiff.config.command_line import command_line
from mlffm_segdiff.config.paths import expanded
from mlffm_segdiff.config.section import MAX_THREADS
from mlffm_segdiff.segmenters.device import AUTO

if TYPE_CHECKING:
    from mlffm_segdiff.benchmark.measured_speeds import MeasuredSpeeds
    from mlffm_segdiff.inference.prepared import PreparedModel

DRAWN_MEGAPIXELS = 2.0
USUAL_MEMORY = 16e9
"""Bytes of a machine whose memory is not known."""


def plan_job(
    context: typer.Context,
    sampling: SamplingArgument = None,
    images: Annotated[int, typer.Option(min=1, metavar="N", help="Images of the job.")] = 1_000_000,
    megapixels: Annotated[
        float | None,
        typer.Option(
            help="Mean size of an image [default: of the images measured with -i, otherwise 2].",
            show_default=False,
        ),
    ] = None,
    shard_size: Annotated[int, typer.Option(min=1, help="Images of a shard.")] = 1000,
    places: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            "-i",
            metavar="IMAGES",
            help="Measure with these images, as predict reads them [default: drawn ones of 0.3, 2, 4 and 8 "
            "megapixels]. Repeatable.",
        ),
    ] = None,
    machine: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Measure nothing: take the speeds that --save wrote on a node."),
    ] = None,
    save: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the measured speeds, for --machine.")
    ] = None,
    report: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the plan as Markdown.")] = None,
    nodes: Annotated[int, typer.Option(min=1, help="Machines.")] = 10,
    cores: Annotated[
        int | None,
        typer.Option(
            min=1, help="CPU cores of a node [default: those of the measured machine].", show_default=False
        ),
    ] = None,
    gpus: Annotated[float, typer.Option(min=0, help="GPUs of a node, if the network runs on them.")] = 1,
    price_per_hour: Annotated[
        float, typer.Option(min=0, help="Price of a node per hour, in any currency.")
    ] = 0.2,
    bandwidth: Annotated[
        float, typer.Option(help="Between a node and the object store, in megabits per second.")
    ] = 1000,
    hours_between_losses: Annotated[
        float, typer.Option(help="Mean hours that one node lasts (not the cluster).")
    ] = 1000,
    restart_minutes: Annotated[float, typer.Option(min=0, help="From a loss until a replacement works.")] = 5,
    gets_per_image: Annotated[
        float,
        typer.Option(
            min=0, help="Requests to read an image: 2 from s3 and gs (size and content), 1 from tar."
        ),
    ] = 2,
    latency_ms: Annotated[float, typer.Option(min=0, help="Time of a request until its first byte.")] = 100,
    get_rate: Annotated[
        float, typer.Option(help="GET requests per second that the object store serves.")
    ] = 5500,
    put_rate: Annotated[
        float, typer.Option(help="PUT requests per second that the object store serves.")
    ] = 3500,
    get_price: Annotated[float, typer.Option(min=0, help="Price of a million GET requests.")] = 0.4,
    put_price: Annotated[float, typer.Option(min=0, help="Price of a million PUT requests.")] = 5,
    storage_price: Annotated[
        float, typer.Option(min=0, help="Price of a gigabyte of shards for a month.")
    ] = 0.023,
    months: Annotated[float, typer.Option(min=0, help="Months for which the shards are stored.")] = 1,
    driver_memory_gb: Annotated[
        float | None,
        typer.Option(
            help="Memory of the machine that runs predict [default: of this one].", show_default=False
        ),
    ] = None,
    weights: WeightsOrGraphsOption = "default",
    samples: SamplesOption = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images segmented at once.")] = 8,
    repeats: Annotated[int, typer.Option(min=1, help="Turns of the measurement; the median counts.")] = 7,
    runtime: RuntimeOption = None,
    device: DeviceOption = AUTO,
    threads: Annotated[
        int, typer.Option(min=1, max=MAX_THREADS, metavar="N", help="CPU threads of a worker.")
    ] = 1,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Plan predict --shards for very many images: measure this machine, and estimate time and cost.

    Measures reading, decoding, network, post-processing and writing at three image sizes, fits a line to each
    and checks their sum at a fourth. By the formula in docs/SCALE.md follow the time and the cost of the job,
    its bottleneck, and which limit comes first.

    Prices and rates are inputs. The defaults of the object store are what Amazon published for S3 Standard in
    US East, in dollars; the price of a node is an assumption.

    Example: mlffm-segdiff plan --images 100000000 --nodes 100 --cores 16 --price-per-hour 0.8
    """
    from mlffm_segdiff.benchmark.job_estimate import Nodes, ObjectStore, Workload
    from mlffm_segdiff.benchmark.measured_speeds import SAVED_START, MeasuredSpeeds
    from mlffm_segdiff.benchmark.plan_report import (
        REPORT_START,
        JobPlan,
        plan_markdown,
        plan_tables,
        plan_values,
        summary,
    )
    from mlffm_segdiff.files.atomic import write_text
    from mlffm_segdiff.files.results_folder import require_own_file
    from mlffm_segdiff.machine.memory import memory_bytes

    reporter = Reporter(quiet, as_json)
    job = Workload(images, DRAWN_MEGAPIXELS if megapixels is None else megapixels, shard_size)
    memory = memory_bytes() or USUAL_MEMORY if driver_memory_gb is None else driver_memory_gb * 1e9
    speed, restart = bandwidth * 1e6 / 8, 60 * restart_minutes
    machines = Nodes(nodes, cores or 1, gpus, price_per_hour, speed, hours_between_losses, restart, memory)
    store = ObjectStore(
        gets_per_image, latency_ms / 1e3, get_rate, put_rate, get_price, put_price, storage_price, months
    )
    if machine is not None:
        reason = "--machine measures nothing"
        refuse_given(context, reason, "places", "save", "weights", "sampling", "samples")
        refuse_given(context, reason, "batch_size", "repeats", "runtime", "device", "threads")
    for written, start in ((save, SAVED_START), (report, REPORT_START)):
        if written is not None:
            require_own_file(expanded(written), start)
    if machine is not None:
        measured = MeasuredSpeeds.read(expanded(machine))
    else:
        overrides = sampling_overrides(sampling, samples, None)
        model = prepare_model(weights, runtime, "float32", overrides, batch_size, threads, reporter, device)
        measured = _measured(model, weights, places or (), batch_size, repeats, reporter)
    if save is not None:
        write_text(expanded(save), measured.saved_text())
    if megapixels is None:
        job = replace(job, megapixels=measured.megapixels)
    if cores is None:
        machines = replace(machines, cores=measured.speeds.cores)
    plan = JobPlan(measured, job, machines, store)
    values = plan_values(plan)
    if report is not None:
        write_text(expanded(report), plan_markdown(plan, command_line()))
    for header, rows in plan_tables(plan):
        reporter.table(header, rows)
    reporter.info(summary(plan))
    reporter.result(values)


def _measured(
    model: "PreparedModel",
    weights: str,
    places: Sequence[str],
    batch_size: int,
    repeats: int,
    reporter: Reporter,
) -> "MeasuredSpeeds":
    from mlffm_segdiff.benchmark.shard_stages import drawn_groups, groups_of, measure_speeds
    from mlffm_segdiff.inference.reading.listing import list_place, merged

    with reporter.status("measuring"):
        if places:
            groups = groups_of(merged([list_place(place) for place in places]).images)
            return measure_speeds(model, weights, groups, batch_size, repeats)
        with drawn_groups() as groups:
            return measure_speeds(model, weights, groups, batch_size, repeats, DRAWN_MEGAPIXELS)
