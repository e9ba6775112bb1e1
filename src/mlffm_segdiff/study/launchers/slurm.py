"""Cells as the tasks of a Slurm job array, by submitit."""

import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Literal

from submitit import AutoExecutor, Job
from submitit.core.utils import DelayedSubmission, FailedJobError, UncompletedJobError

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.study.launchers.apart import run_apart
from mlffm_segdiff.study.launchers.base import Outcome, Work, one_line
from mlffm_segdiff.study.launchers.notices import Notices, open_notices
from mlffm_segdiff.study.launchers.parcel import Parcel, logs_of, pack

POLL_SECONDS = 1
DAY = 24 * 60
"""In minutes."""


class Slurm:
    """Submits the cells as one job array and waits for them.

    workers: cells at once; None: as many as Slurm gives room. threads: processors of a cell. gpus: whole GPUs
    of a cell. memory_gb: of a cell; None: what the partition gives. minutes: at which Slurm ends a cell; one
    that is preempted, or up to three times out of time, goes back to the queue and on from where it was.
    cluster: "local" runs the cells in processes of this machine, all at once, to try this out without Slurm.
    """

    def __init__(
        self,
        workers: int | None,
        threads: int,
        gpus: int = 0,
        memory_gb: float | None = None,
        partition: str | None = None,
        minutes: int = DAY,
        cluster: Literal["slurm", "local"] = "slurm",
    ) -> None:
        self.threads = threads
        self.cluster = cluster
        self.parameters = {
            "name": "mlffm-segdiff",
            "cpus_per_task": threads,
            "gpus_per_node": gpus or None,
            "mem_gb": memory_gb,
            "timeout_min": minutes,
            "slurm_partition": partition,
            "slurm_array_parallelism": workers,
        }

    def launch(
        self, work: Work, study: Path, keys: Sequence[str], started: Callable[[str], None]
    ) -> Generator[Outcome, None, None]:
        """Run the cells. Ending this early cancels their jobs. See `Launcher`."""
        with open_notices(study.absolute()) as notices:
            parcels = [pack(work, study, key, self.threads, notices.folder) for key in keys]
            jobs = dict(zip(keys, self._submit(parcels, logs_of(study) / "slurm"), strict=True))
            try:
                yield from _outcomes(jobs, notices, started)
            finally:
                for job in jobs.values():
                    job.cancel(check=False)

    def _submit(self, parcels: Sequence[Parcel], folder: Path) -> list[Job[Outcome]]:
        try:
            executor = AutoExecutor(folder, cluster=self.cluster)
            executor.update_parameters(**self.parameters)
            return executor.map_array(_Cell(), parcels) if parcels else []
        except (RuntimeError, FailedJobError) as error:
            raise UserError(f"Slurm took no jobs ({one_line(error)}); run this where sbatch works") from error


class _Cell:
    """What submitit runs, and submits again when the job is preempted or out of time."""

    def checkpoint(self, parcel: Parcel) -> DelayedSubmission:
        """Return what takes the place of the job that submitit is about to end."""
        return DelayedSubmission(self, parcel)

    def __call__(self, parcel: Parcel) -> Outcome:
        return run_apart(parcel)


def _outcomes(
    jobs: dict[str, Job[Outcome]], notices: Notices, started: Callable[[str], None]
) -> Generator[Outcome, None, None]:
    """Yield the outcome of each job that ends, and take it out of `jobs`."""
    while jobs:
        ended = [key for key, job in jobs.items() if job.done()]
        for key in notices.news():
            started(key)
        for key in ended:
            yield _outcome(key, jobs.pop(key))
        if not ended:
            time.sleep(POLL_SECONDS)


def _outcome(key: str, job: Job[Outcome]) -> Outcome:
    try:
        return job.result()
    except (FailedJobError, UncompletedJobError):
        return Outcome(key, f"Slurm's job {job.job_id} ended without a result; see {job.paths.stderr}")
