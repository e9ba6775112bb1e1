"""How long the unfinished cells of a study will take on this machine."""

import heapq
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.progress import ShowStatus
from mlffm_segdiff.config.schema import Recipe
from mlffm_segdiff.config.study import LauncherConfig
from mlffm_segdiff.data.sources import load_split_cases
from mlffm_segdiff.segmenters.device import find_device
from mlffm_segdiff.study.cells import Cell
from mlffm_segdiff.study.launchers.base import SLURM_AT_ONCE, torch_threads, workers_that_fit
from mlffm_segdiff.study.plan import StudyPlan
from mlffm_segdiff.training.time_estimate import TimeEstimate, estimate_time

OF_A_STEP: Mapping[str, set[str] | bool] = {
    "train": {"batch_size", "precision", "optimizer", "init", "encoder_init"},
    "data": {"size", "workers"},
    **dict.fromkeys(("model", "diffusion", "sampling", "loss", "augment"), True),
}
"""Keys of a recipe that change the time of a step or of a validation image, as pydantic's ``include``."""


def estimate_cells(
    plan: StudyPlan, cells: Sequence[Cell], show: ShowStatus = nullcontext
) -> tuple[dict[str, TimeEstimate], dict[str, str]]:
    """Estimate the trainings of cells. Cells with the same network, image size and batch are measured once.

    Args:
        plan: The plan, whose threads and device are used.
        cells: Cells of the plan.
        show: Shows the label of a measurement.

    Returns:
        The estimate of each cell, and the error of each cell that cannot be trained, by key.

    Raises:
        UserError: This machine does not have the device of the plan.
    """
    find_device(plan.device)
    measured: dict[str, TimeEstimate | str] = {}
    validation_images: dict[str, int] = {}
    with torch_threads(plan.threads):
        for cell in cells:
            if cell.dataset not in validation_images:
                validation_images[cell.dataset] = len(load_split_cases(cell.recipe.data).cases["val"])
            key = step_key(cell.recipe)
            if key not in measured:
                with show(f"measuring {cell.variant}"):
                    measured[key] = _measured(cell.recipe, plan.device)
    estimates: dict[str, TimeEstimate] = {}
    errors: dict[str, str] = {}
    for cell in cells:
        found = measured[step_key(cell.recipe)]
        if isinstance(found, str):
            errors[cell.key] = found
        else:
            estimates[cell.key] = found.of(cell.recipe, validation_images[cell.dataset])
    return estimates, errors


def _measured(recipe: Recipe, device: str) -> TimeEstimate | str:
    try:
        return estimate_time(recipe, device)
    except UserError as error:
        return str(error)


def step_key(recipe: Recipe) -> str:
    """Return a text that is the same for recipes whose steps and validations take the same time."""
    return recipe.model_dump_json(include=OF_A_STEP)


def cells_at_once(launcher: LauncherConfig, threads: int, cells: int) -> int:
    """Return how many of some cells a launcher runs at the same time; Ray all of them, by default.

    Args:
        launcher: Launcher of the study.
        threads: CPU threads of each cell.
        cells: Number of cells.
    """
    if launcher.name == "in-process":
        return 1
    default = {"local": workers_that_fit(threads), "slurm": SLURM_AT_ONCE}.get(launcher.name, cells)
    return max(min(launcher.workers or default, cells), 1)


def makespan(seconds: Iterable[float], workers: int) -> float:
    """Return when the last of several tasks ends, if each is started by the first free worker in turn.

    Args:
        seconds: Duration of each task in seconds, in the order of their start.
        workers: Number of workers, at least 1.

    Returns:
        Seconds from the start to the end of the last task.
    """
    free = [0.0] * workers
    for work in seconds:
        heapq.heapreplace(free, free[0] + work)
    return max(free)
