"""The process that speaks to a Ray cluster.

Each cell is a task and no trial of Ray Tune. Ray starts a task again when its machine is lost, gives it what
it asks for, and tells of ends one by one: all that is needed. Tune's grid did finish every cell too when a
machine was lost, but `fit` blocks and has no stop from outside, and each trial needs an actor and a folder.
"""

import os
import socket
from collections.abc import Callable, Mapping, Sequence

import ray
from ray.exceptions import RayError

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.study.launchers.apart import run_apart
from mlffm_segdiff.study.launchers.base import Outcome, one_line
from mlffm_segdiff.study.launchers.notices import Notices
from mlffm_segdiff.study.launchers.parcel import Parcel

RETRIES = 3
"""How often a cell starts again whose machine was lost."""

POLL_SECONDS = 0.5
CONNECT_SECONDS = 10


def drive(
    address: str,
    workers: int | None,
    resources: Mapping[str, float],
    parcels: Sequence[Parcel],
    send: Callable[[str | Outcome], None],
) -> None:
    """Run the parcels on a cluster, `workers` at once; send the key of each that begins, and its outcome.

    resources: of a cell, by Ray's names: CPU, GPU, memory (bytes). Raises UserError where there is no such
    cluster, or no machine of it has as much.
    """
    if not parcels:
        return
    _connect(address, parcels[0].environment)
    try:
        _refuse_too_much(resources)
        _run(_remote(resources), workers, parcels, send)
    finally:
        ray.shutdown()


def _connect(address: str, environment: Mapping[str, str]) -> None:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # else a "local" cluster reports to Ray's makers
    try:
        _refuse_deaf(address)
        ray.init(address, log_to_driver=False, runtime_env={"env_vars": dict(environment)})
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(
            f"no Ray cluster answers at {address!r} ({one_line(error)}); start one with: ray start --head"
        ) from error


def _refuse_deaf(address: str) -> None:
    """Raise OSError where nothing listens at HOST:PORT; Ray would ask for minutes."""
    host, colon, port = address.rpartition(":")
    if colon and port.isdecimal():
        socket.create_connection((host, int(port)), CONNECT_SECONDS).close()


def _refuse_too_much(resources: Mapping[str, float]) -> None:
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    if not any(all(node.get(name, 0) >= amount for name, amount in resources.items()) for node in nodes):
        asked = ", ".join(f"{name} {amount:g}" for name, amount in resources.items() if amount)
        raise UserError(f"no machine of the Ray cluster has what a cell asks for ({asked}); ask for less")


def _remote(resources: Mapping[str, float]) -> Callable[[Parcel], "ray.ObjectRef[Outcome]"]:
    """Return the function that makes a parcel a task."""
    task = ray.remote(
        max_retries=RETRIES,
        num_cpus=resources["CPU"],
        num_gpus=resources["GPU"],
        memory=resources.get("memory", 0),
    )
    return task(run_apart).remote


def _run(
    remote: Callable[[Parcel], "ray.ObjectRef[Outcome]"],
    workers: int | None,
    parcels: Sequence[Parcel],
    send: Callable[[str | Outcome], None],
) -> None:
    assert parcels[0].notices is not None
    notices = Notices(parcels[0].notices)
    waiting = list(parcels)
    running: dict[ray.ObjectRef[Outcome], str] = {}
    while waiting or running:
        while waiting and len(running) < (workers or len(parcels)):
            parcel = waiting.pop(0)
            running[remote(parcel)] = parcel.key
        ended, _ = ray.wait(list(running), num_returns=1, timeout=POLL_SECONDS)
        for key in notices.news():
            send(key)
        for reference in ended:
            send(_outcome(running.pop(reference), reference))


def _outcome(key: str, reference: "ray.ObjectRef[Outcome]") -> Outcome:
    try:
        return ray.get(reference)
    except RayError as error:
        return Outcome(key, one_line(error))
