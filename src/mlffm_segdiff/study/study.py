"""A study from plan to finished cells: what to run, what to keep, what went wrong."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import yaml

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.study import Study
from mlffm_segdiff.data.atomic import atomic_write
from mlffm_segdiff.study.cells import Cell, cell_key, make_cells
from mlffm_segdiff.study.code_version import code_version
from mlffm_segdiff.study.folder import StudyFolder
from mlffm_segdiff.study.launchers.base import Launcher
from mlffm_segdiff.study.lock import StudyLock, package_versions, read_lock, write_lock
from mlffm_segdiff.study.run_cell import is_scored, run_cell
from mlffm_segdiff.study.tally import Tally

Watch = Callable[[Cell, str | None], None]
"""Told of a cell each time that its state changes, with the error where it failed."""


def plan_study(
    study: Study,
    kind: str,
    folder: StudyFolder,
    sources: Mapping[str, Path | None],
    threads: int,
    accept_code: bool = False,
) -> StudyLock:
    """Check the whole study, write study.yaml and study.lock, and return the plan; what is finished stays.

    sources: see `make_cells`. threads: of a cell. accept_code: keep finished cells that other code trained.
    Raises UserError as `make_cells` does, for a folder that holds anything else, and for finished cells of
    other code that are not accepted. Nothing is written then.
    """
    before = previous_plan(folder, study.name)
    if before is not None and before.threads != threads:
        raise UserError(
            f"{folder.path} was begun with --threads {before.threads}, on which scores' last digits depend; "
            "leave --threads out, or choose another -o"
        )
    cells = _kept(make_cells(study, sources, code_version()), before, folder, accept_code)
    lock = StudyLock(
        study.name,
        kind,
        study.baseline,
        study.part,
        study.evaluations,
        threads,
        code_version(),
        before.packages if before else package_versions(),
        cells,
        {name: variant.against for name, variant in study.variants.items() if variant.against},
    )
    with folder.claimed():
        write_lock(lock, folder.lock)  # first: by it the folder is known as a study's
        with atomic_write(folder.study) as path:
            path.write_text(yaml.safe_dump(study.model_dump(mode="json"), sort_keys=False), encoding="utf-8")
        _reopen_unscored(lock, folder)
    return lock


def previous_plan(folder: StudyFolder, name: str | None = None) -> StudyLock | None:
    """Return the plan that the folder holds, None if it is empty or missing.

    A study whose plan is lost has none. Raises UserError for a folder that holds something else, or the plan
    of a study not called ``name``.
    """
    if not folder.lock.is_file():
        if folder.study.is_file():
            return None
        if folder.path.is_dir() and any(not path.name.startswith(".") for path in folder.path.iterdir()):
            raise UserError(f"{folder.path} is not empty and holds no study; choose another -o")
        return None
    lock = read_lock(folder.lock)
    if name is not None and lock.name != name:
        raise UserError(f"{folder.path} holds the study {lock.name!r}; choose another -o")
    return lock


def changed_packages(before: StudyLock | None) -> list[str]:
    """Return the packages that are of another version than when the study was begun, each as one phrase."""
    if before is None:
        return []
    now = package_versions()
    return [
        f"{name} was {old}, is {now.get(name)}"
        for name, old in before.packages.items()
        if now.get(name) != old
    ]


def plan_one_again(
    lock: StudyLock, key: str, folder: StudyFolder, sources: Mapping[str, Path | None]
) -> StudyLock:
    """Plan one cell of ``lock`` again, alone, in another folder; sources replace those of the cell.

    key: the cell's, or its beginning. sources: by the name of the data set or of its source. Raises UserError
    for no or several such cells, another code than the cell's, a source that is not the cell's, and a folder
    that holds anything else.
    """
    cell = _only_cell(lock, key)
    if code_version() != cell.code:
        raise UserError(
            f"cell {cell.key} was trained by code {cell.code}, and this is {code_version()}; check out its "
            "revision, which finished.json names"
        )
    (source, place), *_ = cell.recipe.data.sources.items()
    for name, folder_given in sources.items():
        if name not in (source, cell.dataset):
            raise UserError(f"--source {name}: the data set of cell {cell.key} is {cell.dataset}")
        place = folder_given or place
    data = cell.recipe.data.model_copy(update={"sources": {source: place}})
    cell = replace(cell, recipe=cell.recipe.model_copy(update={"data": data}))
    before = previous_plan(folder, lock.name)
    if before is not None and [one.key for one in before.cells] != [cell.key]:
        raise UserError(f"{folder.path} holds other cells; choose another -o")
    plan = replace(lock, cells=[cell])
    with folder.claimed():
        write_lock(plan, folder.lock)
    return plan


def run_study(
    lock: StudyLock, folder: StudyFolder, launcher: Launcher, tally: Tally, watch: Watch
) -> dict[str, str]:
    """Run the cells that are not finished, keep the tally, and return the errors of those that fail, by key.

    Cells whose last try failed come last. Raises UserError while another command works on the folder.
    """
    cells = {cell.key: cell for cell in lock.cells}
    waiting = [key for key in cells if tally.states[key] == "waiting"]
    waiting.sort(key=lambda key: folder.cell(key).failed.is_file())
    failures: dict[str, str] = {}

    def started(key: str) -> None:
        tally.states[key] = "running"
        watch(cells[key], None)

    if not waiting:
        return failures
    launched = launcher.launch(run_cell, folder.path, waiting, started)
    with folder.claimed(), closing(launched) as outcomes:
        for outcome in outcomes:
            error = settle(folder, tally, outcome.key, outcome.error)
            if error is not None:
                failures[outcome.key] = error
            watch(cells[outcome.key], error)
    return failures


def open_tally(lock: StudyLock, folder: StudyFolder) -> Tally:
    """Return the tally of a study before anything runs."""
    tally = Tally(lock.cells)
    for key in {cell.key for cell in lock.cells}:
        if settle(folder, tally, key, "waiting") is not None:
            tally.states[key] = "waiting"
    return tally


def settle(folder: StudyFolder, tally: Tally, key: str, error: str | None) -> str | None:
    """Note how a cell ended and return its error; its finished.json decides, whatever the engine says."""
    place = folder.cell(key)
    if place.finished.is_file():
        tally.states[key] = "done"
        tally.seconds[key] = place.record()["seconds"]
        return None
    tally.states[key] = "failed"
    return error or "it ended without finished.json"


def _kept(cells: Sequence[Cell], before: StudyLock | None, folder: StudyFolder, accept: bool) -> list[Cell]:
    """Return the cells, in place of some those that other code trained; refuse if these are not accepted."""
    old = {_asked(cell): cell for cell in (before.cells if before else ())}
    found, other = [], []
    for cell in cells:
        trained = old.get(_asked(cell))
        if trained is not None and _trained_by_other_code(cell, trained, folder):
            other.append(trained)
            cell = replace(cell, key=trained.key, code=trained.code)
        found.append(cell)
    if other and not accept:
        raise UserError(
            f"{len(other)} trained cells in {folder.path} were trained by other code ({other[0].code}, now "
            f"{code_version()}); --accept-code keeps them, another -o trains all anew"
        )
    return found


def _asked(cell: Cell) -> str:
    """Return what is trained, whatever it is called and whichever code trains it."""
    return cell_key(cell.recipe, cell.split, "")


def _trained_by_other_code(cell: Cell, trained: Cell, folder: StudyFolder) -> bool:
    return (
        cell.code != trained.code
        and folder.cell(trained.key).trained.is_file()
        and not folder.cell(cell.key).trained.is_file()
    )


def _reopen_unscored(lock: StudyLock, folder: StudyFolder) -> None:
    """Finished cells that lack an evaluation asked for since are unfinished again; their training stays."""
    for cell in lock.cells:
        place = folder.cell(cell.key)
        if place.finished.is_file() and not all(
            is_scored(cell, lock, place, name) for name in lock.evaluations
        ):
            place.finished.unlink()


def _only_cell(lock: StudyLock, key: str) -> Cell:
    found = {cell.key: cell for cell in lock.cells if cell.key.startswith(key)}
    if len(found) != 1:
        raise UserError(
            f"{len(found)} cells of study {lock.name!r} begin with {key!r}; study.lock lists them"
        )
    (cell,) = found.values()
    return cell
