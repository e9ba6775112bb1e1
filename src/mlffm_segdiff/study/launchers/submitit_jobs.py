"""Runs cells as submitit jobs: processes of this machine, or a Slurm job array."""

import os
import shlex
import sys
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from submitit import AutoExecutor, Job
from submitit.core.utils import DelayedSubmission, FailedJobError, UncompletedJobError

from mlffm_segdiff.config.errors import UserError, one_line
from mlffm_segdiff.config.study import LauncherConfig
from mlffm_segdiff.study.launchers.base import SLURM_AT_ONCE, Outcome, Work, attempt, workers_that_fit

POLL_SECONDS = 0.5
CANCEL_SECONDS = 10
DAY_MINUTES, YEAR_MINUTES = 24 * 60, 365 * 24 * 60
VISIBLE = "CUDA_VISIBLE_DEVICES"


class SubmititJobs:
    """Runs each cell as a submitit job: on this machine with all visible GPUs, or on Slurm.

    A Slurm job that is preempted, or out of time up to three times, is requeued and resumes.

    Args:
        config: ``name`` is "local" or "slurm".
        threads: Processor threads of a cell.
    """

    def __init__(self, config: LauncherConfig, threads: int) -> None:
        self.cluster, self.threads = config.name, threads
        self.local = config.name == "local"
        self.at_once = config.workers or (workers_that_fit(threads) if self.local else None)
        self.parameters = {
            "name": "mlffm-segdiff",
            "cpus_per_task": threads,
            "gpus_per_node": int(config.gpus or 0) or None,
            "mem_gb": config.memory_gb,
            "timeout_min": YEAR_MINUTES if self.local else config.minutes or DAY_MINUTES,
            "slurm_partition": config.partition,
            "slurm_array_parallelism": self.at_once or SLURM_AT_ONCE,
        }

    def launch(self, work: Work, study: Path, keys: Sequence[str]) -> Generator[Outcome, None, None]:
        """Submit the cells and wait for them. See `Launcher.launch`."""
        waiting, job = list(keys), _CellJob(work, study.absolute())
        running: dict[str, Job[Outcome]] = {}
        try:
            while waiting or running:
                free = self.at_once - len(running) if self.local and self.at_once else len(waiting)
                batch, waiting = waiting[:free], waiting[free:]
                running |= zip(batch, self._submit(job, batch), strict=True)
                ended = [key for key, one in running.items() if one.done()]
                for key in ended:
                    yield _outcome(key, running.pop(key))
                if not ended:
                    time.sleep(POLL_SECONDS)
        finally:
            for one in running.values():
                one.cancel(check=False)
            deadline = time.monotonic() + (CANCEL_SECONDS if self.local else 0)
            while time.monotonic() < deadline and not all(one.done() for one in running.values()):
                time.sleep(POLL_SECONDS)

    def _submit(self, job: "_CellJob", keys: Sequence[str]) -> Sequence[Job[Outcome]]:
        if not keys:
            return ()
        python = {f"{self.cluster}_python": self._python()}
        try:
            executor = AutoExecutor(job.study / "logs", cluster=self.cluster, **python)
            executor.update_parameters(**self.parameters)
            return executor.map_array(job, keys)
        except (RuntimeError, FailedJobError) as error:
            reason = one_line(error)
            raise UserError(f"Slurm rejected the jobs ({reason}); run this where sbatch works") from error

    def _python(self) -> str:
        """Return the command of a job's interpreter, with variables that libraries read when they load."""
        variables = [f"OMP_NUM_THREADS={self.threads}"]
        if self.local:  # submitit hides all GPUs otherwise
            gpus = os.environ.get(VISIBLE, ",".join(map(str, range(torch.cuda.device_count()))))
            variables.append(f"{VISIBLE}={gpus}")
        return shlex.join(["/usr/bin/env", *variables, sys.executable])


@dataclass(frozen=True)
class _CellJob:
    """The callable that submitit pickles."""

    work: Work
    study: Path

    def __call__(self, key: str) -> Outcome:
        return attempt(self.work, self.study, key)

    def checkpoint(self, key: str) -> DelayedSubmission:
        return DelayedSubmission(self, key)


def _outcome(key: str, job: Job[Outcome]) -> Outcome:
    try:
        return job.result()
    except (FailedJobError, UncompletedJobError):
        return Outcome(key, f"job {job.job_id} ended without a result; see {job.paths.stderr}")
