"""Takes over cells from other studies, and copies the part of a study that its report needs."""

import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

from filelock import FileLock, Timeout

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.files.atomic import atomic_folder, write_bytes
from mlffm_segdiff.study.cells import Cell
from mlffm_segdiff.study.plan import StudyPlan, read_plan, write_plan
from mlffm_segdiff.study.progress import StudyProgress
from mlffm_segdiff.study.run_cell import is_scored
from mlffm_segdiff.study.score_frame import CellResult, read_scores
from mlffm_segdiff.study.study_folder import CellFolder, StudyFolder


@dataclass
class ReusedCells:
    """Keys of the cells that were copied.

    Attributes:
        finished: Cells with their scores, which are not run again.
        trained: Cells that are only scored.
    """

    finished: list[str] = field(default_factory=list)
    trained: list[str] = field(default_factory=list)


def reuse_cells(plan: StudyPlan, folder: StudyFolder, others: Sequence[StudyFolder]) -> ReusedCells:
    """Copy cells with the same key from other studies, finished ones first.

    Args:
        plan: Saved plan of the study.
        folder: Folder of the study.
        others: Folders of other studies, finished or not, or shared. A finished cell is copied with its
            scores if it has every evaluation of the plan; otherwise only its training, if the weights are
            there.

    Returns:
        The copied cells. A cell that is trained here, or that a job of an earlier call still trains, is not
        replaced.

    Raises:
        UserError: If a folder has no study, or a file cannot be read or written.
    """
    check_studies(others)
    reused = ReusedCells()
    with folder.claimed():
        for cell in plan.cells:
            here = folder.cell(cell.key)
            found = find_cell(cell, plan, others)
            if here.finished.is_file() or here.trained.is_file() or found is None:
                continue
            try:
                here.path.mkdir(parents=True, exist_ok=True)
                with FileLock(here.guard, timeout=0):
                    if found.scored:
                        _copy_finished(found.folder, here, plan.evaluations)
                    else:
                        _copy_training(found.folder, here)
            except Timeout:
                continue
            (reused.finished if found.scored else reused.trained).append(cell.key)
    return reused


def check_studies(folders: Iterable[StudyFolder]) -> None:
    """Raise UserError for a folder that has no study."""
    for folder in folders:
        read_plan(folder.plan)


@dataclass(frozen=True)
class FoundCell:
    """A cell of another study with the same key.

    Attributes:
        folder: Folder of the cell.
        scored: Whether it is finished and has every evaluation; otherwise it is only trained.
    """

    folder: CellFolder
    scored: bool


def find_cell(cell: Cell, plan: StudyPlan, others: Iterable[StudyFolder]) -> FoundCell | None:
    """Return the cell of the first other study that has its scores, or else its weights; None if none has."""
    theirs = [other.cell(cell.key) for other in others]
    scored = (FoundCell(one, True) for one in theirs if one.finished.is_file() and is_scored(cell, plan, one))
    trained = (FoundCell(one, False) for one in theirs if one.trained.is_file())
    return next(chain(scored, trained), None)


def next_state(cell: Cell, plan: StudyPlan, folder: StudyFolder, others: Iterable[StudyFolder] = ()) -> str:
    """Return the state of a cell: done, or the next step.

    Args:
        cell: The cell.
        plan: A plan with it, saved or not.
        folder: Folder of the study.
        others: Studies to reuse cells of.

    Returns:
        "done"; "to score" if it is trained here or elsewhere; "to copy" if it is finished elsewhere;
        otherwise its `State`, with "waiting" for a finished cell that lacks scores of the plan, and weights.
    """
    place, state = folder.cell(cell.key), StudyProgress(plan, folder).state(cell)
    if state == "done" and is_scored(cell, plan, place):
        return state
    if place.trained.is_file():
        return "to score"
    if found := find_cell(cell, plan, others):
        return "to copy" if found.scored else "to score"
    return "waiting" if state == "done" else state


def _copy_finished(source: CellFolder, target: CellFolder, evaluations: Iterable[str]) -> None:
    """Copy the training, if its weights are there, or the learning curve; the scores; and last the record."""
    record = json.dumps(source.account(), indent=1).encode() + b"\n"
    if source.trained.is_file():
        _copy_training(source, target)
    else:
        shutil.rmtree(target.run.path, ignore_errors=True)  # of an interrupted training, not of these scores
        if source.run.metrics.is_file():
            write_bytes(target.run.metrics, source.run.metrics.read_bytes())
    for name in evaluations:
        _copy_folder(source.scores(name), target.scores(name))
    write_bytes(target.finished, record)


def _copy_training(source: CellFolder, target: CellFolder) -> None:
    """Copy all but the checkpoints, which the other study may be removing."""
    _copy_folder(source.run.path, target.run.path, shutil.ignore_patterns(source.run.checkpoints.name))
    write_bytes(target.trained, source.trained.read_bytes())


def _copy_folder(source: Path, target: Path, ignore: Callable[..., set[str]] | None = None) -> None:
    """Copy a folder at once; what an interrupted command left in its place is replaced."""
    with atomic_folder(target) as building:
        shutil.copytree(source, building, ignore=ignore, dirs_exist_ok=True)
        if target.exists():
            shutil.rmtree(target)


def share_study(folder: StudyFolder, output: Path) -> list[Path]:
    """Copy what a study's report is made from into a new folder: no weights, images, or paths of data.

    The request (study.yaml) and the commands that ran the cells can have such paths, so they are left out.

    Args:
        folder: The study, finished or not; only its finished cells are copied.
        output: Folder to create.

    Returns:
        The copied files.

    Raises:
        UserError: If there is no study, the folder exists, the record or the scores of a finished cell are
            missing or damaged, or a file cannot be written.
    """
    plan = read_plan(folder.plan)
    if output.exists():
        raise UserError(f"{output} exists; choose another folder, or remove it")
    cells = [CellResult(cell, folder.cell(cell.key)) for cell in plan.cells]
    read_scores(cells, list(plan.evaluations))  # damaged ones are refused
    files = {folder.images: folder.images.read_bytes()} if folder.images.is_file() else {}
    for cell in plan.cells:
        place = folder.cell(cell.key)
        if place.finished.is_file():
            account = {key: value for key, value in place.account().items() if key != "command"}
            files[place.finished] = json.dumps(account, indent=1).encode() + b"\n"
            curves = [place.run.metrics] if place.run.metrics.is_file() else []
            scores = [file for name in plan.evaluations for file in place.score_files(name)]
            files |= {file: file.read_bytes() for file in (*curves, *scores)}
    with atomic_folder(output) as building:
        for file, content in files.items():
            write_bytes(building / file.relative_to(folder.path), content)
        shared = replace(plan, cells=_without_paths(plan.cells))
        write_plan(shared, building / folder.plan.name)
    return [output / file.relative_to(folder.path) for file in (folder.plan, *files)]


def _without_paths(cells: Sequence[Cell]) -> list[Cell]:
    """Return the cells without the folders of their data; if one data set has several, with their numbers."""
    folders: dict[str, list[Path | None]] = {}
    for cell in cells:
        for name, folder in cell.recipe.data.sources.items():
            known = folders.setdefault(name, [])
            known += [] if folder in known else [folder]
    return [_without_path(cell, folders) for cell in cells]


def _without_path(cell: Cell, folders: Mapping[str, Sequence[Path | None]]) -> Cell:
    data = cell.recipe.data
    sources = {
        name: Path(f"folder_{folders[name].index(folder)}") if len(folders[name]) > 1 else None
        for name, folder in data.sources.items()
    }
    data = data.model_copy(update={"sources": sources, "split": data.split and Path(data.split.name)})
    return replace(cell, recipe=cell.recipe.model_copy(update={"data": data}))
