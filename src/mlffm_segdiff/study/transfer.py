"""Takes over trained cells from other studies, and copies the part of a study that its report needs."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.atomic import atomic_folder, write_bytes
from mlffm_segdiff.evaluation.report import CASES_FILE, SUMMARY_FILE
from mlffm_segdiff.study.cells import Cell
from mlffm_segdiff.study.plan import StudyPlan, read_plan, write_plan
from mlffm_segdiff.study.study_folder import StudyFolder


def reuse_trained(plan: StudyPlan, folder: StudyFolder, others: Sequence[StudyFolder]) -> list[str]:
    """Copy the training runs that other studies have of cells with the same key; they are scored anew.

    Args:
        plan: The saved plan of the study.
        folder: Its folder.
        others: Folders of other studies, finished or not.

    Returns:
        Keys of the cells whose training was copied; a cell that is trained here keeps its own weights.

    Raises:
        UserError: If a folder has no study, or a file cannot be written.
    """
    for other in others:
        read_plan(other.plan)
    copied = []
    with folder.claimed():
        for cell in plan.cells:
            here = folder.cell(cell.key)
            theirs = [other.cell(cell.key) for other in others if other.cell(cell.key).trained.is_file()]
            if here.trained.is_file() or not theirs:
                continue
            shutil.rmtree(here.run.path, ignore_errors=True)  # unfinished
            with atomic_folder(here.run.path) as building:
                shutil.copytree(theirs[0].run.path, building, dirs_exist_ok=True)
            write_bytes(here.trained, theirs[0].trained.read_bytes())
            copied.append(cell.key)
    return copied


def share_study(folder: StudyFolder, output: Path) -> list[Path]:
    """Copy what a study's report is made from into a new folder: no weights, images, or paths of data.

    Args:
        folder: The study, finished or not; only its finished cells are copied.
        output: Folder to create.

    Returns:
        The copied files.

    Raises:
        UserError: If there is no study, the folder exists, or a file cannot be written.
    """
    plan = read_plan(folder.plan)
    if output.exists():
        raise UserError(f"{output} exists; choose another folder, or remove it")
    files = [folder.study]
    for cell in plan.cells:
        place = folder.cell(cell.key)
        if place.finished.is_file():
            scores = [place.scores(name) for name in plan.evaluations]
            tables = [file for one in scores for file in (one / CASES_FILE, one / SUMMARY_FILE)]
            files += [place.finished, place.run.metrics, *tables]
    with atomic_folder(output) as building:
        for file in files:
            copy = building / file.relative_to(folder.path)
            copy.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(copy, file.read_bytes())
        write_plan(
            replace(plan, cells=[_without_paths(cell) for cell in plan.cells]), building / folder.plan.name
        )
    return [output / file.relative_to(folder.path) for file in [folder.plan, *files]]


def _without_paths(cell: Cell) -> Cell:
    data = cell.recipe.data
    data = data.model_copy(
        update={"sources": dict.fromkeys(data.sources), "split": data.split and Path(data.split.name)}
    )
    return replace(cell, recipe=cell.recipe.model_copy(update={"data": data}))
