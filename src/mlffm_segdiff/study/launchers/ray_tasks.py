"""Runs cells as Ray tasks, on a cluster or on this machine."""

import os
from collections import deque
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

import ray
from ray.exceptions import RayError

from mlffm_segdiff.config.errors import UserError, one_line
from mlffm_segdiff.config.study import LauncherConfig
from mlffm_segdiff.machine.ray_cluster import connect, messages_on_stderr
from mlffm_segdiff.study.launchers.base import Outcome, Work, attempt

RETRIES = 3


class RayTasks:
    """Runs each cell as a Ray task in a fresh worker process, without usage statistics.

    A task whose machine or process is lost is retried up to `RETRIES` times and resumes.

    Args:
        config: Resources of a cell, and the cluster's address; "local" starts one that ends with the run.
        threads: Processor threads of a cell.
    """

    def __init__(self, config: LauncherConfig, threads: int) -> None:
        self.address = config.address or "auto"
        self.workers = config.workers
        self.resources = {
            "CPU": threads,
            "GPU": config.gpus or 0,
            "memory": int((config.memory_gb or 0) * 1e9),
        }

    def launch(self, work: Work, study: Path, keys: Sequence[str]) -> Generator[Outcome, None, None]:
        """Run the cells as tasks. See `Launcher.launch`."""
        study, waiting = study.absolute(), deque(keys)
        running: dict[ray.ObjectRef[Outcome], str] = {}
        connect(self.address, self.resources["CPU"])
        try:
            remote = self._remote()
            while waiting or running:
                while waiting and len(running) < (self.workers or len(keys)):
                    key = waiting.popleft()
                    running[remote(Path.cwd(), work, study, key)] = key
                with messages_on_stderr():
                    ended, _ = ray.wait(list(running), num_returns=1)
                for task in ended:
                    yield _outcome(running.pop(task), task)
        finally:
            with messages_on_stderr():
                for task in running:
                    ray.cancel(task, force=True)
                ray.shutdown()

    def _remote(self) -> Callable[..., "ray.ObjectRef[Outcome]"]:
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
        needed = {name: amount for name, amount in self.resources.items() if amount}
        if not any(all(node.get(name, 0) >= amount for name, amount in needed.items()) for node in nodes):
            resources = ", ".join(f"{name} {amount:g}" for name, amount in needed.items())
            raise UserError(f"no machine of the Ray cluster has {resources}; request less per cell")
        cpus, gpus, memory = self.resources.values()
        task = ray.remote(max_retries=RETRIES, max_calls=1, num_cpus=cpus, num_gpus=gpus, memory=memory)
        return task(_attempt_in).remote


def _attempt_in(directory: Path, work: Work, study: Path, key: str) -> Outcome:
    os.chdir(directory)  # relative paths in recipes start there
    return attempt(work, study, key)


def _outcome(key: str, task: "ray.ObjectRef[Outcome]") -> Outcome:
    try:
        return ray.get(task)
    except RayError as error:
        return Outcome(key, one_line(error))
