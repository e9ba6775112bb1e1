"""Repeats one cell of a study in another folder, to check that it gives the same weights."""

from dataclasses import replace
from pathlib import Path

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.segmenters.device import AUTO, find_device
from mlffm_segdiff.segmenters.saved_weights import WEIGHTS
from mlffm_segdiff.study.plan import StudyPlan, read_plan, write_plan
from mlffm_segdiff.study.runner import Sources, previous_plan
from mlffm_segdiff.study.study_folder import StudyFolder


def plan_repeat(
    original: StudyFolder, key: str, folder: StudyFolder, sources: Sources, device: str = AUTO
) -> StudyPlan:
    """Plan one cell of a study again in another folder.

    Args:
        original: The study.
        key: The key of the cell, or its beginning.
        folder: Another folder.
        sources: Folders that replace those of the cell, by the name of its data set or of the source.
        device: Device of the cell, as for `find_device`.

    Returns:
        The saved plan.

    Raises:
        UserError: There is no such device, no cell or several match, a source is of another data set, or the
            folder is in other use.
    """
    find_device(device)
    if folder.path.resolve() == original.path.resolve():
        raise UserError(f"{folder.path} is the study itself; choose another folder")
    plan = read_plan(original.plan)
    cell = plan.cell(key)
    (source, place), *_ = cell.recipe.data.sources.items()
    for name, path in sources.items():
        if name not in (source, cell.dataset):
            raise UserError(f"source {name}: the data set of cell {cell.key} is {cell.dataset}")
        place = path or place
    data = cell.recipe.data.model_copy(update={"sources": {source: place}})
    cell = replace(cell, recipe=cell.recipe.model_copy(update={"data": data}))
    before = previous_plan(folder, plan.name)
    if before is not None and [one.key for one in before.cells] != [cell.key]:
        raise UserError(f"{folder.path} has other cells; choose another folder")
    plan = replace(plan, cells=[cell], device=device)
    with folder.claimed():
        write_plan(plan, folder.plan)
    return plan


def weights_file(folder: StudyFolder, plan: StudyPlan) -> Path:
    """Return the weights of the only cell of a plan in a folder."""
    (cell,) = plan.cells
    return folder.cell(cell.key).run.weights / WEIGHTS


def same_weights(original: StudyFolder, repeated: StudyFolder, plan: StudyPlan) -> bool | None:
    """Return whether both folders have the same weights, byte for byte; None if the original is missing.

    Args:
        original: Folder of the original run.
        repeated: Folder of its repetition.
        plan: Plan with one cell, that of both.

    Raises:
        UserError: The repetition is finished, but its weights were removed.
    """
    before, now = weights_file(original, plan), weights_file(repeated, plan)
    if not now.is_file():
        raise UserError(
            f"{repeated.path} has finished this cell, but {now} was removed; choose another folder"
        )
    return before.read_bytes() == now.read_bytes() if before.is_file() else None
