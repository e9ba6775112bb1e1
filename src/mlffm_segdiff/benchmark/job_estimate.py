"""Time, cost and limits of a job of ``predict`` on many machines, by formula; docs/SCALE.md explains it."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from mlffm_segdiff.benchmark.stage_line import JobSpeeds
from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.inference.pool import MIN_HELPERS

HOUR = 3600.0
LONGEST_SHARD = 20.0
"""Mean lifetimes of a node that a shard may take; it is then repeated 10^8 times."""


def _require_positive(values: object, zero: tuple[str, ...] = ()) -> None:
    """Raise UserError for a number that is not finite or not positive; those named may be 0."""
    for name, value in vars(values).items():
        if not (math.isfinite(value) and (value > 0 or (value == 0 and name in zero))):
            least = "0 or more" if name in zero else "a number above 0"
            raise UserError(f"{name.replace('_', ' ')} {value:g} is out of range; give {least}")


@dataclass(frozen=True)
class Workload:
    """Images to segment.

    Attributes:
        images: Number of images.
        megapixels: Mean size of an image.
        shard_size: Images of a shard.
    """

    images: int
    megapixels: float
    shard_size: int

    def __post_init__(self) -> None:
        """Raise UserError for a number out of range."""
        _require_positive(self)

    @property
    def shards(self) -> int:
        """Number of shards."""
        return -(-self.images // self.shard_size)


@dataclass(frozen=True)
class Nodes:
    """Machines of one kind.

    Attributes:
        nodes: Number of machines.
        cores: CPU cores of each machine.
        gpus: GPUs of each machine; unused if the network was measured on the CPU.
        price_per_hour: Price of one machine per hour, in any currency.
        bandwidth: Bandwidth between one machine and the object store, in bytes per second.
        hours_between_losses: Mean time between losses of one machine (not of the cluster), in hours.
        restart_seconds: Seconds from a loss until a replacement has loaded the model.
        driver_memory: Memory of the machine that runs the command, in bytes.
    """

    nodes: int
    cores: int
    gpus: float
    price_per_hour: float
    bandwidth: float
    hours_between_losses: float
    restart_seconds: float
    driver_memory: float

    def __post_init__(self) -> None:
        """Raise UserError for a number out of range."""
        _require_positive(self, zero=("gpus", "price_per_hour", "restart_seconds"))


@dataclass(frozen=True)
class ObjectStore:
    """Where the images are read from and the shards are stored.

    Attributes:
        gets_per_image: Requests that read one image.
        latency: Seconds of a request until its first byte.
        get_rate: Requests that read, per second, for all machines together.
        put_rate: Requests that write, per second, for all machines together.
        get_price: Price of a million requests that read.
        put_price: Price of a million requests that write.
        storage_price: Price of 10^9 bytes of shards for a month.
        months: Time for which the shards are stored, in months.
    """

    gets_per_image: float
    latency: float
    get_rate: float
    put_rate: float
    get_price: float
    put_price: float
    storage_price: float
    months: float

    def __post_init__(self) -> None:
        """Raise UserError for a number out of range."""
        free = ("gets_per_image", "latency", "get_price", "put_price", "storage_price", "months")
        _require_positive(self, zero=free)


@dataclass(frozen=True)
class JobEstimate:
    """Duration, bottleneck and cost of a job.

    Attributes:
        seconds: Duration of the job in seconds.
        bottleneck: Stage that limits the speed; the others wait for it.
        image_seconds: Seconds that a worker takes per image.
        shard_seconds: Seconds that a worker takes per shard, if nothing is lost.
        repeats: Expected work with lost nodes, relative to that without.
        lost_shards: Expected number of shards that are made again.
        costs: Costs by ``nodes``, ``requests`` and ``storage``, in the currency of the prices.
    """

    seconds: float
    bottleneck: str
    image_seconds: float
    shard_seconds: float
    repeats: float
    lost_shards: float
    costs: Mapping[str, float]

    @property
    def cost(self) -> float:
        """Total cost, in the currency of the prices."""
        return sum(self.costs.values())


def estimate_job(job: Workload, speeds: JobSpeeds, nodes: Nodes, store: ObjectStore) -> JobEstimate:
    """Estimate a job: the slowest resource decides, and the others wait for it.

    A worker has the threads that were measured; a node has as many workers as fit its cores. Work on shards
    is lost with a node and repeated: with exponential lifetimes of a node of mean M and a restart of R, a
    shard of t seconds takes (M + R) (exp(t / M) - 1) on average (compare Daly 2006, "A higher order estimate
    of the optimum checkpoint interval for restart dumps", Future Generation Computer Systems 22, eq. 13).

    Args:
        job: Images to segment.
        speeds: Measured speeds.
        nodes: Machines that it runs on.
        store: Object store where images and shards are stored.

    Raises:
        UserError: A node has fewer cores than a worker has threads, or no GPU for a network measured on one;
            or a shard takes much longer than nodes last.
    """
    image = worker_seconds(job, speeds, nodes, store)
    slowest = max(image, key=image.__getitem__)
    workers = _workers(speeds, nodes) * nodes.nodes
    shard = min(job.shard_size, job.images) * image[slowest]
    between = nodes.hours_between_losses * HOUR
    if shard > LONGEST_SHARD * between:
        raise UserError(
            f"a shard takes {shard / HOUR:.3g} hours and a node lasts {nodes.hours_between_losses:g} hours "
            "on average, so that no shard gets done; lower --shard-size"
        )
    repeats = (between + nodes.restart_seconds) * math.expm1(shard / between) / shard
    gets, puts = repeats * job.images * store.gets_per_image, repeats * job.shards
    parallel = {
        slowest: -(-job.shards // workers) * shard * repeats,
        "GET requests": gets / store.get_rate,
        "PUT requests": puts / store.put_rate,
    }
    last = speeds.driver_seconds * job.images
    most = max(parallel, key=parallel.__getitem__)
    seconds = parallel[most] + last
    stored = job.images * speeds.output_bytes.at(job.megapixels) / 1e9
    costs = {
        "nodes": nodes.nodes * seconds / HOUR * nodes.price_per_hour,
        "requests": ((gets + job.shards) * store.get_price + puts * store.put_price) / 1e6,
        "storage": stored * store.storage_price * store.months,
    }
    lost = job.shards * math.expm1(shard / between)
    bottleneck = most if parallel[most] >= last else "manifest"
    return JobEstimate(seconds, bottleneck, image[slowest], shard, repeats, lost, costs)


def worker_seconds(job: Workload, speeds: JobSpeeds, nodes: Nodes, store: ObjectStore) -> dict[str, float]:
    """Return the seconds of an image that each resource of a worker needs; the longest one decides.

    The CPU is named by the stage that takes most of it.
    """
    size, workers = job.megapixels, _workers(speeds, nodes)
    stages = {stage: line.at(size) for stage, line in speeds.stages.items()}
    helpers = sum(seconds for stage, seconds in stages.items() if stage != "network")
    moved = speeds.input_bytes.at(size) + speeds.output_bytes.at(size)
    found = {
        f"CPU ({max(stages, key=stages.__getitem__)})": sum(stages.values()) / speeds.threads,
        "latency": (store.gets_per_image * store.latency + helpers) / MIN_HELPERS,
        "bandwidth": workers * moved / nodes.bandwidth,
    }
    if speeds.gpu is not None:
        if not nodes.gpus:
            raise UserError("the network was measured on a GPU; give --gpus of a node, or --device cpu")
        found["GPU (network)"] = workers * speeds.gpu.at(size) / nodes.gpus
    return found


def _workers(speeds: JobSpeeds, nodes: Nodes) -> int:
    """Return the number of workers of a node."""
    if nodes.cores < speeds.threads:
        raise UserError(
            f"a node of {nodes.cores} cores has no room for {speeds.threads} threads; lower --threads"
        )
    return nodes.cores // speeds.threads


@dataclass(frozen=True)
class Limit:
    """A number beyond which a job no longer scales.

    Attributes:
        what: Description of the limit.
        at: Number of nodes, images or megapixels at which it happens.
        unit: ``nodes``, ``images`` or ``megapixels``.
        now: The number of the job.
    """

    what: str
    at: float
    unit: str
    now: float


def limits_of(job: Workload, speeds: JobSpeeds, nodes: Nodes, store: ObjectStore) -> list[Limit]:
    """Return the limits of a job, the nearest first, then sizes of images from which the CPU does other work.

    Args:
        job: Images to segment.
        speeds: Measured speeds.
        nodes: Machines that it runs on.
        store: Object store where images and shards are stored.
    """
    found = estimate_job(job, speeds, nodes, store)
    workers = _workers(speeds, nodes)
    rate = workers / found.image_seconds  # images of a node per second, without repetitions
    full = nodes.driver_memory / speeds.entry_bytes
    limits = [Limit("the list of images fills the memory of the command", full, "images", job.images)]
    per_second = {
        "GET requests take as long as the work": store.get_rate / (store.gets_per_image or math.inf),
        "PUT requests take as long as the work": store.put_rate * job.shard_size,
        "the manifest takes as long as the work": found.repeats / (speeds.driver_seconds or math.inf),
    }
    limits += [Limit(what, most / rate, "nodes", nodes.nodes) for what, most in per_second.items() if most]
    limits.append(Limit("each worker has only one shard", job.shards / workers, "nodes", nodes.nodes))
    return [*sorted(limits, key=lambda one: one.at / one.now), *_crossings(job, speeds)]


def _crossings(job: Workload, speeds: JobSpeeds) -> Iterator[Limit]:
    """Yield the size from which a stage takes more of the CPU than the network, if it takes less below."""
    network = speeds.stages["network"]
    for stage in ("decode", "post-processing"):
        line = speeds.stages[stage]
        slope, head_start = line.per_megapixel - network.per_megapixel, network.fixed - line.fixed
        if slope > 0 and head_start > 0:
            what = f"{stage} takes more of the CPU than the network"
            yield Limit(what, head_start / slope, "megapixels", job.megapixels)


def scaled(job: Workload, speeds: JobSpeeds, nodes: Nodes, store: ObjectStore) -> dict[int, JobEstimate]:
    """Return the estimates for 1, 10, 100 ... nodes up to one node per shard, and for the given number."""
    powers = [10**power for power in range(len(str(job.shards)))]
    return {
        count: estimate_job(job, speeds, replace(nodes, nodes=count), store)
        for count in sorted({*powers, nodes.nodes})
    }
