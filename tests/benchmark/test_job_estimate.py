"""The cost of a job against cases worked by hand, and properties that it has for any numbers."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlffm_segdiff.benchmark.job_estimate import (
    Nodes,
    ObjectStore,
    Workload,
    estimate_job,
    limits_of,
    scaled,
    worker_seconds,
)
from mlffm_segdiff.benchmark.stage_line import JobSpeeds, StageLine
from mlffm_segdiff.config.errors import UserError

NEVER = 1e12
FREE = ObjectStore(0, 0, 1e12, 1e12, 0, 0, 0, 0)
ONE = Nodes(
    nodes=1,
    cores=1,
    gpus=0,
    price_per_hour=0,
    bandwidth=1e15,
    hours_between_losses=NEVER,
    restart_seconds=0,
    driver_memory=1e15,
)


def line(fixed: float = 0, per_megapixel: float = 0) -> StageLine:
    return StageLine(fixed=fixed, per_megapixel=per_megapixel)


def speeds(
    gpu: StageLine | None = None, driver: float = 0, threads: int = 1, **stages: StageLine
) -> JobSpeeds:
    """At 2 megapixels: 0.1 s of decoding, 0.2 s of the network, 0.5 MB in and 0.1 MB out, unless given."""
    given = {"decode": line(0.02, 0.04), "network": line(0.2), "post-processing": line()} | stages
    return JobSpeeds(
        machine="a machine",
        weights="default",
        threads=threads,
        cores=8,
        stages=given,
        gpu=gpu,
        input_bytes=line(0, 250_000),
        output_bytes=line(100_000),
        driver_seconds=driver,
        entry_bytes=400,
    )


JOB = Workload(images=36_000, megapixels=2, shard_size=1000)


def test_one_worker_on_the_cpu_takes_the_sum_of_the_stages() -> None:
    found = estimate_job(JOB, speeds(), ONE, FREE)
    assert found.image_seconds == pytest.approx(0.3)
    assert found.shard_seconds == pytest.approx(300)
    assert found.seconds == pytest.approx(36_000 * 0.3)
    assert found.bottleneck == "CPU (network)"
    assert (found.cost, found.lost_shards) == pytest.approx((0, 0), abs=1e-6)


def test_36_shards_on_10_workers_are_made_in_4_rounds() -> None:
    found = estimate_job(JOB, speeds(), replace(ONE, nodes=5, cores=2), FREE)
    assert found.seconds == pytest.approx(4 * 300)


def test_a_worker_of_two_threads_takes_two_cores_and_half_the_time() -> None:
    found = estimate_job(JOB, speeds(threads=2), replace(ONE, cores=7), FREE)
    assert found.seconds == pytest.approx(36 / 3 * 150)


def test_money_is_nodes_by_the_hour_requests_by_the_million_and_bytes_by_the_month() -> None:
    store = replace(FREE, gets_per_image=2, get_price=0.4, put_price=5, storage_price=0.02, months=3)
    found = estimate_job(JOB, speeds(), replace(ONE, nodes=9, cores=4, price_per_hour=0.5), store)
    assert found.seconds == pytest.approx(300)  # one shard for each of 36 workers
    assert found.costs["nodes"] == pytest.approx(9 * 300 / 3600 * 0.5)
    assert found.costs["requests"] == pytest.approx(((72_000 + 36) * 0.4 + 36 * 5) / 1e6)
    assert found.costs["storage"] == pytest.approx(36_000 * 1e5 / 1e9 * 0.02 * 3)
    assert found.cost == pytest.approx(sum(found.costs.values()))


def test_two_helpers_wait_for_requests() -> None:
    store = replace(FREE, gets_per_image=2, latency=0.3)
    found = estimate_job(JOB, speeds(), ONE, store)
    assert found.bottleneck == "latency"
    assert found.image_seconds == pytest.approx((2 * 0.3 + 0.1) / 2)


def test_the_workers_of_a_node_share_its_bandwidth_and_its_gpus() -> None:
    node = replace(ONE, cores=4, gpus=2, bandwidth=1.2e6)
    found = worker_seconds(JOB, speeds(gpu=line(0.7)), node, FREE)
    assert found["bandwidth"] == pytest.approx(4 * 600_000 / 1.2e6)
    assert found["GPU (network)"] == pytest.approx(4 * 0.7 / 2)


def test_the_cpu_is_named_by_its_longest_stage() -> None:
    large = replace(JOB, megapixels=10)
    assert estimate_job(JOB, speeds(), ONE, FREE).bottleneck == "CPU (network)"
    assert estimate_job(large, speeds(), ONE, FREE).bottleneck == "CPU (decode)"
    (crossing,) = [one for one in limits_of(JOB, speeds(), ONE, FREE) if one.unit == "megapixels"]
    assert crossing.at == pytest.approx((0.2 - 0.02) / 0.04)


@pytest.mark.parametrize(
    ("rates", "bottleneck", "seconds"),
    [({"get_rate": 10}, "GET requests", 2 * 36_000 / 10), ({"put_rate": 0.001}, "PUT requests", 36 / 0.001)],
)
def test_the_store_bounds_all_nodes_together(
    rates: dict[str, float], bottleneck: str, seconds: float
) -> None:
    store = replace(FREE, gets_per_image=2, **rates)
    found = [estimate_job(JOB, speeds(), replace(ONE, nodes=count), store) for count in (36, 360)]
    assert [one.bottleneck for one in found] == [bottleneck] * 2
    assert [one.seconds for one in found] == pytest.approx([seconds] * 2)


def test_lost_nodes_repeat_their_shards() -> None:
    """A shard of ln 2 times the mean time between losses, 100 s: (100 + 50) (2 - 1) s instead of 69."""
    node = replace(ONE, hours_between_losses=100 / 3600, restart_seconds=50)
    job = Workload(images=10, megapixels=2, shard_size=1)
    found = estimate_job(job, speeds(network=line(100 * math.log(2) - 0.1)), node, FREE)
    assert found.seconds == pytest.approx(10 * 150)
    assert found.lost_shards == pytest.approx(10)
    assert found.repeats == pytest.approx(1.5 / math.log(2))


def test_the_command_lists_all_images_after_the_last_shard() -> None:
    found = estimate_job(JOB, speeds(driver=0.01), ONE, FREE)
    assert found.seconds == pytest.approx(36_000 * (0.3 + 0.01))
    assert estimate_job(JOB, speeds(driver=0.01), replace(ONE, nodes=36), FREE).bottleneck == "manifest"


def test_the_nearest_limit_is_first_and_is_where_the_times_are_equal() -> None:
    job, store = replace(JOB, images=36_000_000), replace(FREE, gets_per_image=2, get_rate=40)
    measured, nodes = speeds(driver=0.001), replace(ONE, nodes=3, driver_memory=18e9)
    limits = {one.what: one for one in limits_of(job, measured, nodes, store)}
    first, *_ = limits.values()
    assert (first.what, first.unit) == ("the list of images fills the memory of the command", "images")
    assert (first.at, first.now) == (45e6, 36e6)
    requests = limits["GET requests take as long as the work"]
    assert (requests.at, requests.now) == (pytest.approx(40 / 2 * 0.3), 3)
    at = estimate_job(job, measured, replace(nodes, nodes=6), store)
    assert at.seconds == pytest.approx(36e6 * 0.3 / 6 + 36e6 * 0.001) == 36e6 * 2 / 40 + 36e6 * 0.001
    assert limits["the manifest takes as long as the work"].at == pytest.approx(300)
    assert limits["each worker has only one shard"].at == 36_000


def test_the_table_of_nodes_has_powers_of_ten_up_to_a_shard_each_and_the_given_number() -> None:
    assert list(scaled(JOB, speeds(), replace(ONE, nodes=7), FREE)) == [1, 7, 10]


@pytest.mark.parametrize(
    ("nodes", "measured", "message"),
    [
        (replace(ONE, cores=2), speeds(threads=4), "a node of 2 cores has no room for 4 threads"),
        (ONE, speeds(gpu=line(1)), "measured on a GPU; give --gpus"),
        (
            replace(ONE, hours_between_losses=1e-4),
            speeds(),
            "0.0833 hours .* lasts 0.0001 hours .* --shard-size",
        ),
    ],
)
def test_nodes_on_which_no_shard_gets_done_are_refused(
    nodes: Nodes, measured: JobSpeeds, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        estimate_job(JOB, measured, nodes, FREE)


@pytest.mark.parametrize("name", ["bandwidth", "hours_between_losses", "price_per_hour", "driver_memory"])
@pytest.mark.parametrize("value", [-1, math.nan, math.inf])
def test_impossible_numbers_are_refused(name: str, value: float) -> None:
    with pytest.raises(UserError, match=f"{name.replace('_', ' ')} .* is out of range"):
        replace(ONE, **{name: value})


positive = st.floats(1e-3, 1e3)
stores = st.builds(
    ObjectStore,
    gets_per_image=st.floats(0, 5),
    latency=st.floats(0, 1),
    get_rate=positive,
    put_rate=positive,
    get_price=positive,
    put_price=positive,
    storage_price=positive,
    months=positive,
)
machines = st.builds(
    Nodes,
    nodes=st.integers(1, 500),
    cores=st.integers(1, 64),
    gpus=st.just(1.0),
    price_per_hour=positive,
    bandwidth=st.floats(1e6, 1e10),
    hours_between_losses=st.floats(10, 1e5),
    restart_seconds=st.floats(0, 600),
    driver_memory=st.just(1e10),
)
jobs = st.builds(
    Workload, images=st.integers(1, 10**8), megapixels=st.floats(0.01, 50), shard_size=st.integers(1, 100)
)
costs = st.builds(StageLine, fixed=st.floats(1e-4, 0.2), per_megapixel=st.floats(0, 0.05))


@given(jobs, machines, stores, costs, st.integers(1, 10**6), st.integers(1, 500))
def test_more_images_never_take_less_and_more_nodes_never_take_longer(
    job: Workload, nodes: Nodes, store: ObjectStore, network: StageLine, images: int, more: int
) -> None:
    measured = speeds(network=network, driver=1e-4)
    found = estimate_job(job, measured, nodes, store)
    larger = estimate_job(replace(job, images=job.images + images), measured, nodes, store)
    faster = estimate_job(job, measured, replace(nodes, nodes=nodes.nodes + more), store)
    assert larger.seconds >= found.seconds * (1 - 1e-12)
    assert larger.cost >= found.cost * (1 - 1e-12)
    assert faster.seconds <= found.seconds * (1 + 1e-12)
    assert found.repeats >= 1 - 1e-9


@given(jobs, machines, stores)
def test_money_is_the_sum_of_its_parts_and_grows_with_each_price(
    job: Workload, nodes: Nodes, store: ObjectStore
) -> None:
    found = estimate_job(job, speeds(), nodes, store)
    assert found.cost == pytest.approx(sum(found.costs.values()))
    doubled = replace(store, get_price=2 * store.get_price, put_price=2 * store.put_price)
    dearer = estimate_job(job, speeds(), replace(nodes, price_per_hour=2 * nodes.price_per_hour), doubled)
    expected = {"nodes": 2, "requests": 2, "storage": 1}
    assert dict(dearer.costs) == pytest.approx({name: n * found.costs[name] for name, n in expected.items()})


def test_the_example_of_the_documentation() -> None:
    """docs/SCALE.md works it by hand."""
    job = Workload(images=10**8, megapixels=2, shard_size=1000)
    node = replace(
        ONE, nodes=50, cores=16, price_per_hour=0.8, hours_between_losses=1000, restart_seconds=300
    )
    measured = speeds(decode=line(0.05), network=line(0.05), driver=1e-4)
    found = estimate_job(job, measured, node, FREE)
    assert found.shard_seconds == pytest.approx(100)
    assert found.shard_seconds * found.repeats == pytest.approx(100.01, abs=0.001)
    assert found.seconds / 3600 == pytest.approx(6.25, abs=0.001)
    assert found.cost == pytest.approx(250, abs=0.1)
    limits = {one.what: one.at for one in limits_of(job, measured, node, FREE)}
    assert limits["the manifest takes as long as the work"] == pytest.approx(62.5, abs=0.01)
