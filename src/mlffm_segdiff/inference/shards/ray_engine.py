"""Makes shards by Ray Data: a pool of actors on a cluster, each with a model."""

import logging
import os
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import ray
import ray.data
from ray.exceptions import RayError

from mlffm_segdiff.config.errors import UserError, one_line
from mlffm_segdiff.inference.pool import MIN_HELPERS
from mlffm_segdiff.inference.prepared import PreparedModel
from mlffm_segdiff.inference.shards.make import describe, make_shard, shard_settings
from mlffm_segdiff.inference.shards.plan import Shard, ShardOptions
from mlffm_segdiff.machine.ray_cluster import connect, messages_on_stderr

IN_FLIGHT = 2
"""Shards assigned to an actor at once: the one that it makes, and the next."""


@contextmanager
def ray_engine(
    load: Callable[[], PreparedModel],
    address: str = "auto",
    workers: int | None = None,
    threads: int = 1,
    gpus: float = 0,
) -> Iterator["RayEngine"]:
    """Connect to a Ray cluster and yield the engine.

    Args:
        load: Returns the model; it is called on each worker, in this process's current directory.
        address: As for `connect`.
        workers: Actors at most; by default as many as the cluster has room for.
        threads: Processor threads of an actor.
        gpus: GPUs of an actor, also a share; 0 runs the network on the CPU.

    Raises:
        UserError: There is no such cluster, or it was lost.
    """
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    with messages_on_stderr():
        connect(address, threads)
        try:
            ray.data.DataContext.get_current().enable_progress_bars = False
            yield RayEngine(load, workers, threads, gpus)
        except RayError as error:
            raise UserError(f"Ray stopped: {one_line(error)}; repeat the command to resume") from error
        finally:
            ray.shutdown()


class RayEngine:
    """Makes shards on a Ray cluster; lost actors and machines are replaced, and their shards made again."""

    def __init__(
        self, load: Callable[[], PreparedModel], workers: int | None, threads: int, gpus: float
    ) -> None:
        self._load, self._workers = load, workers
        self._threads, self._gpus = threads, gpus

    def describe(self, options: ShardOptions) -> tuple[str, str]:
        """Return `describe` of the model on a worker."""
        self._most_workers()  # Ray would wait forever for a task that no machine has room for
        remote = ray.remote(num_cpus=self._threads, num_gpus=self._gpus)(_describe).remote
        settings, lacking, error = ray.get(remote(Path.cwd(), self._load, options))
        if error:
            raise UserError(error)
        return settings, lacking

    def make(self, shards: Sequence[Shard], options: ShardOptions, settings: str) -> Iterator[int]:
        """Make the shards. See `ShardEngine.make`."""
        items = [{"shard": pickle.dumps(shard)} for shard in shards]
        made = ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
            ShardActor,
            fn_constructor_args=(Path.cwd(), self._load, options, settings),
            batch_size=1,
            num_cpus=self._threads,
            num_gpus=self._gpus,
            compute=ray.data.ActorPoolStrategy(
                min_size=1, max_size=self._most_workers(), max_tasks_in_flight_per_actor=IN_FLIGHT
            ),
        )
        for row in made.iter_rows():
            if row["error"]:
                raise UserError(row["error"])
            yield row["images"]

    def _most_workers(self) -> int:
        needed = {"CPU": self._threads, **({"GPU": self._gpus} if self._gpus else {})}
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
        room = sum(int(min(node.get(kind, 0) / one for kind, one in needed.items())) for node in nodes)
        if not room:
            raise UserError(
                f"no machine of the Ray cluster has room for a worker with {self._threads} CPUs and "
                f"{self._gpus:g} GPUs; give smaller --threads or --gpus"
            )
        return self._workers or room


class ShardActor:
    """Makes shards in a worker process of Ray Data.

    An error that would be the same anywhere is returned, as Ray would retry it.

    Args:
        directory: Current directory, where relative paths start.
        load: Returns the model.
        options: Options of the plan.
        settings: Settings of the plan; those of this worker's model must be the same.
    """

    def __init__(
        self, directory: Path, load: Callable[[], PreparedModel], options: ShardOptions, settings: str
    ) -> None:
        os.chdir(directory)
        self._load, self._options, self._settings = load, options, settings

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        """Make the shard of a batch of one."""
        (shard,) = map(pickle.loads, batch["shard"])
        try:
            make_shard(shard, self._model, self._options, MIN_HELPERS)
        except UserError as error:
            return {"images": [0], "error": [str(error)]}
        return {"images": [len(shard.sources)], "error": [""]}

    @cached_property
    def _model(self) -> PreparedModel:
        model = self._load()
        if shard_settings(model, self._options) != self._settings:
            raise UserError(
                "the workers differ in weights, version or device; install the same on all machines, "
                "or give --gpus"
            )
        return model


def _describe(
    directory: Path, load: Callable[[], PreparedModel], options: ShardOptions
) -> tuple[str, str, str]:
    """Return `describe` of the model on a worker, and the error if there is one."""
    os.chdir(directory)
    try:
        return *describe(load(), options), ""
    except UserError as error:
        return "", "", str(error)
