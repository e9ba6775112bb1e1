"""Cells as tasks of a Ray cluster."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.extra import needs_extra
from mlffm_segdiff.study.launchers.base import Outcome, Work
from mlffm_segdiff.study.launchers.child import Child
from mlffm_segdiff.study.launchers.notices import open_notices
from mlffm_segdiff.study.launchers.parcel import Parcel, logs_of, pack

Told = str | Outcome | UserError
"""What the process that speaks to Ray tells: a key that began, one that ended, or that it cannot work."""


@dataclass(frozen=True)
class RayCluster:
    """Runs cells on a running Ray cluster.

    address: the cluster's; "auto" is the one this machine is part of, "local" one of this machine alone that
    lasts as long as the study. workers: cells at once; None: as many as have room. threads: processors of a
    cell. gpus: GPUs of a cell, a share of one below 1. memory_gb: what a cell reserves; None: nothing.

    A process of its own speaks to Ray: Ray prints as it likes, sets signal handlers, and ends the process
    that has lost its cluster.
    """

    address: str
    workers: int | None
    threads: int
    gpus: float = 0
    memory_gb: float | None = None

    def launch(
        self, work: Work, study: Path, keys: Sequence[str], started: Callable[[str], None]
    ) -> Generator[Outcome, None, None]:
        """Run the cells; one whose machine is lost starts again on another. See `Launcher`."""
        log = logs_of(study) / "ray.txt"
        with open_notices(study.absolute()) as notices:
            parcels = [pack(work, study, key, self.threads, notices.folder) for key in keys]
            child: Child[Told] = Child(partial(_drive, self, parcels), log)
            try:
                yield from _relay(child, len(keys), started, log)
            except BaseException:
                child.ask_to_end()
                raise
            finally:
                child.join()
                child.stop()


def _relay(
    child: Child[Told], cells: int, started: Callable[[str], None], log: Path
) -> Generator[Outcome, None, None]:
    for told in child.messages():
        match told:
            case Outcome():
                cells -= 1
                yield told
            case UserError():
                raise told
            case key:
                started(key)
        if not cells:
            return
    if cells:
        raise UserError(
            f"the process that speaks to Ray {child.how_it_ended()} before {cells} of the cells did; "
            f"see {log}, and run the study again to go on"
        )


def _drive(cluster: RayCluster, parcels: Sequence[Parcel], send: Callable[[Told], None]) -> None:
    try:
        with needs_extra("cluster"):
            from mlffm_segdiff.study.launchers.ray_driver import drive
        drive(cluster.address, cluster.workers, _resources(cluster), parcels, send)
    except UserError as error:
        send(error)


def _resources(cluster: RayCluster) -> dict[str, float]:
    """Return what a cell reserves, by Ray's names."""
    memory = {} if cluster.memory_gb is None else {"memory": cluster.memory_gb * 1e9}
    return {"CPU": cluster.threads, "GPU": cluster.gpus, **memory}
