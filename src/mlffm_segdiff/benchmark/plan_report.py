"""Tables of a plan of a large job, for the terminal and as Markdown."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from mlffm_segdiff.benchmark.job_estimate import (
    HOUR,
    JobEstimate,
    Limit,
    Nodes,
    ObjectStore,
    Workload,
    estimate_job,
    limits_of,
    scaled,
)
from mlffm_segdiff.benchmark.measured_speeds import MeasuredSpeeds, SizeTimes
from mlffm_segdiff.benchmark.timing import plain
from mlffm_segdiff.evaluation.report import markdown_table

REPORT_START = "# Plan of "
"""How a plan in Markdown starts."""
LABELS = {
    "driver_memory": "memory of the command, bytes",
    "bandwidth": "bandwidth of a node, bytes per second",
    "hours_between_losses": "mean hours that one node lasts",
    "latency": "latency, seconds",
    "get_rate": "GET requests per second",
    "put_rate": "PUT requests per second",
    "get_price": "price of a million GET requests",
    "put_price": "price of a million PUT requests",
    "storage_price": "price of a gigabyte for a month",
}
Row = tuple[str, ...]
Table = tuple[Row, Sequence[Row]]
"""Header and rows."""


@dataclass(frozen=True)
class JobPlan:
    """A job, what was measured for it, and where it runs.

    Attributes:
        measured: Speeds that were measured on the machine.
        job: Images to segment.
        nodes: Machines that it runs on.
        store: Object store where images and shards are stored.
    """

    measured: MeasuredSpeeds
    job: Workload
    nodes: Nodes
    store: ObjectStore

    @property
    def estimate(self) -> JobEstimate:
        """Duration, bottleneck and cost of the job."""
        return estimate_job(self.job, self.measured.speeds, self.nodes, self.store)

    @property
    def limits(self) -> list[Limit]:
        """See `limits_of`."""
        return limits_of(self.job, self.measured.speeds, self.nodes, self.store)

    @property
    def by_nodes(self) -> dict[int, JobEstimate]:
        """The estimates for other numbers of nodes."""
        return scaled(self.job, self.measured.speeds, self.nodes, self.store)


def plan_values(plan: JobPlan) -> dict[str, object]:
    """Return all numbers of a plan as plain values."""
    found = plan.estimate
    return {
        **asdict(found),
        "cost": found.cost,
        "shards": plan.job.shards,
        "check_error": plan.measured.check_error,
        "by_nodes": [
            {"nodes": count, "seconds": one.seconds, "cost": one.cost, "bottleneck": one.bottleneck}
            for count, one in plan.by_nodes.items()
        ],
        "limits": [asdict(limit) for limit in plan.limits],
        "job": asdict(plan.job),
        "nodes": asdict(plan.nodes),
        "store": asdict(plan.store),
        "measured": plan.measured.model_dump(),
    }


def plan_tables(plan: JobPlan) -> list[Table]:
    """Return the tables of a plan: fit, check, cost, nodes, limits."""
    return [_fit(plan.measured), _check(plan.measured), _cost(plan), _by_nodes(plan), _limits(plan)]


def plan_markdown(plan: JobPlan, command: str) -> str:
    """Return a plan as Markdown.

    Args:
        plan: Plan of a job.
        command: Command line to record.
    """
    speeds = plan.measured.speeds
    inputs = {
        "command": f"`{command}`",
        "measured on": f"{speeds.machine}, {speeds.threads} thread(s) per worker",
        "weights": speeds.weights,
        "memory of the command per image, bytes": plain(speeds.entry_bytes),
        **{
            LABELS.get(name, name.replace("_", " ")): f"{value:,.10g}" if value < 1e10 else f"{value:,.0f}"
            for part in (plan.job, plan.nodes, plan.store)
            for name, value in asdict(part).items()
        },
    }
    first: Table = ("input", "value"), list(inputs.items())
    texts = [markdown_table(*table) for table in (first, *plan_tables(plan))]
    return "\n".join([f"{REPORT_START}{plan.job.images:,} images\n", *texts, summary(plan) + "\n"])


def summary(plan: JobPlan) -> str:
    """Return the duration, cost and nearest limit of a job, in two sentences."""
    found, job, first = plan.estimate, plan.job, plan.limits[0]
    shards = "1 shard" if job.shards == 1 else f"{job.shards:,} shards"
    nodes = "1 node" if plan.nodes.nodes == 1 else f"{plan.nodes.nodes:,} nodes"
    return (
        f"{job.images:,} images in {shards} take {plain(found.seconds / HOUR)} hours on "
        f"{nodes} and cost {plain(found.cost)}; the bottleneck is {found.bottleneck}, and "
        f"{plain(found.lost_shards)} shards are expected to be lost and repeated. The nearest limit: "
        f"{first.what}, from {plain(first.at)} {first.unit}."
    )


def _fit(measured: MeasuredSpeeds) -> Table:
    speeds = measured.speeds
    lines = {f"{stage}, CPU ms": (line, 1e3) for stage, line in speeds.stages.items()}
    if speeds.gpu is not None:
        lines["network, GPU ms"] = speeds.gpu, 1e3
    lines |= {"file, kB": (speeds.input_bytes, 1e-3), "shard, kB": (speeds.output_bytes, 1e-3)}
    rows = [
        (name, plain(scale * line.fixed), plain(scale * line.per_megapixel))
        for name, (line, scale) in lines.items()
    ]
    rows.append(("manifest, CPU ms", plain(1e3 * speeds.driver_seconds), "0"))
    return ("per image", "fixed", "per megapixel"), rows


def _check(measured: MeasuredSpeeds) -> Table:
    def row(role: str, one: SizeTimes) -> Row:
        predicted = measured.speeds.image_seconds(one.megapixels)
        times = (
            plain(1e3 * one.seconds),
            plain(1e3 * predicted),
            f"{100 * (predicted / one.seconds - 1):+.1f} %",
        )
        return role, plain(one.megapixels), str(one.images), *times

    rows = [row("fitted", one) for one in measured.sizes]
    header = ("images", "megapixels", "count", "measured, ms", "predicted, ms", "difference")
    return header, [*rows, row("check", measured.check)]


def _cost(plan: JobPlan) -> Table:
    """Return the cost of each stage; what nodes cost beyond their CPU time is waiting and repetition."""
    job, nodes, found = plan.job, plan.nodes, plan.estimate
    second = nodes.price_per_hour / nodes.cores / HOUR
    seconds = {name: line.at(job.megapixels) for name, line in plan.measured.speeds.stages.items()}
    money = {name: job.images * used * second for name, used in seconds.items()}
    money["waiting, repetition, manifest"] = found.costs["nodes"] - sum(money.values())
    money |= {"requests": found.costs["requests"], "storage": found.costs["storage"], "all": found.cost}
    rows = [
        (
            name,
            plain(1e3 * seconds[name]) if name in seconds else "",
            plain(1e6 * cost / job.images),
            plain(cost),
        )
        for name, cost in money.items()
    ]
    return ("cost", "CPU ms per image", "per million images", "of the job"), rows


def _by_nodes(plan: JobPlan) -> Table:
    rows = [
        (
            f"{count:,}",
            plain(one.seconds / HOUR),
            plain(plan.job.images / one.seconds),
            plain(one.cost),
            one.bottleneck,
        )
        for count, one in plan.by_nodes.items()
    ]
    return ("nodes", "hours", "images per second", "cost", "bottleneck"), rows


def _limits(plan: JobPlan) -> Table:
    rows = [
        (
            limit.what,
            f"{plain(limit.at)} {limit.unit}",
            plain(limit.now),
            "yes" if limit.now >= limit.at else "no",
        )
        for limit in plan.limits
    ]
    return ("limit", "from", "this job", "reached"), rows
