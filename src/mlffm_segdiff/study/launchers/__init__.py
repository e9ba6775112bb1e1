"""Launchers: what runs the cells of a study."""

from mlffm_segdiff.config.extra import needs_extra
from mlffm_segdiff.config.study import LauncherConfig
from mlffm_segdiff.study.launchers.base import Launcher
from mlffm_segdiff.study.launchers.in_process import InProcess


def make_launcher(config: LauncherConfig, threads: int) -> Launcher:
    """Return the launcher of a configuration.

    Args:
        config: Name and resources.
        threads: Processor threads of a cell.

    Raises:
        UserError: If the launcher needs the extra ``cluster``, which is not installed.
    """
    if config.name == "in-process":
        return InProcess(threads)
    with needs_extra("cluster"):
        if config.name == "ray":
            from mlffm_segdiff.study.launchers.ray_tasks import RayTasks

            return RayTasks(config, threads)
        from mlffm_segdiff.study.launchers.submitit_jobs import SubmititJobs

        return SubmititJobs(config, threads)
