"""The engines by name."""

from typing import Literal

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.extra import needs_extra
from mlffm_segdiff.data.processors import processors
from mlffm_segdiff.study.launchers.base import Launcher

LauncherName = Literal["in-process", "processes", "slurm", "ray"]


def make_launcher(
    name: LauncherName,
    workers: int | None,
    threads: int,
    address: str = "auto",
    gpus: float | None = None,
    memory_gb: float | None = None,
    partition: str | None = None,
    minutes: int | None = None,
) -> Launcher:
    """Return the engine of this name.

    workers: cells at once; None: as many as fit. in-process runs one. threads: processor threads of a cell.
    address: Ray's. gpus: GPUs of a cell, a share of one below 1, but for Slurm; None: on a cluster none, here
    what the cell finds. memory_gb: of a cell, on a cluster. partition, minutes (of a cell): Slurm's.
    Raises UserError for what the engine does not know, or needs and lacks.
    """
    _refuse(name, "--partition and --minutes", ("slurm",), partition is not None or minutes is not None)
    _refuse(name, "--memory", ("slurm", "ray"), memory_gb is not None)
    _refuse(name, "--gpus", ("processes", "slurm", "ray"), gpus is not None)
    if gpus is not None and gpus != int(gpus) and (gpus > 1 or name == "slurm"):
        raise UserError(
            f"--gpus {gpus:g}: {'Slurm gives' if name == 'slurm' else 'above 1, take'} whole GPUs"
        )
    match name:
        case "in-process":
            from mlffm_segdiff.study.launchers.in_process import InProcess

            return InProcess(threads)
        case "processes":
            from mlffm_segdiff.study.launchers.processes import Processes

            return Processes(workers or max(processors() // threads, 1), threads, gpus)
        case "slurm":
            with needs_extra("cluster"):
                from mlffm_segdiff.study.launchers.slurm import DAY, Slurm
            return Slurm(workers, threads, int(gpus or 0), memory_gb, partition, minutes or DAY)
        case "ray":
            from mlffm_segdiff.study.launchers.ray_cluster import RayCluster

            return RayCluster(address, workers, threads, gpus or 0, memory_gb)


def _refuse(name: LauncherName, option: str, known: tuple[LauncherName, ...], given: bool) -> None:
    if given and name not in known:
        raise UserError(f"{option}: the launcher {name} does not know it; {' and '.join(known)} do")
