"""Plans and runs studies."""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import yaml
from filelock import FileLock, Timeout

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.paths import expanded, require_mapping
from mlffm_segdiff.config.study import LauncherName, Study, check_study, load_study
from mlffm_segdiff.files.atomic import require_writable_folder, write_text
from mlffm_segdiff.machine.processors import default_threads, processors
from mlffm_segdiff.segmenters.device import AUTO, find_device
from mlffm_segdiff.study.cells import Cell, make_cells
from mlffm_segdiff.study.code_version import code_of
from mlffm_segdiff.study.launchers import make_launcher
from mlffm_segdiff.study.launchers.base import Launcher
from mlffm_segdiff.study.plan import StudyPlan, package_versions, read_plan, write_plan
from mlffm_segdiff.study.run_cell import is_scored, run_cell
from mlffm_segdiff.study.study_folder import CellFolder, StudyFolder, scoring_codes, training_codes
from mlffm_segdiff.study.transfer import check_studies, reuse_cells

LOG = logging.getLogger(__name__)
Sources = Mapping[str, Path | None]
"""Folder of each data set, by its name in the study or the name of its source."""

OnEnd = Callable[[Cell, str | None], None]
"""Called for each cell that ends, with its error if it failed."""


HERE: tuple[LauncherName, ...] = ("in-process", "local")
"""Launchers that run cells on this machine."""


@dataclass(frozen=True)
class StudyRun:
    """The outcome of `run_study`.

    Attributes:
        folder: The study's folder.
        report: Folder of the report.
        failures: Error of each failed cell, by key.
    """

    folder: Path
    report: Path
    failures: Mapping[str, str]


def run_study(
    study: Study | str | Mapping[str, object],
    output: Path | str | None = None,
    sources: Mapping[str, Path | str | None] | None = None,
    on_end: OnEnd | None = None,
    device: str = AUTO,
    reuse: Path | str | Sequence[Path | str] = (),
) -> StudyRun:
    """Train and score the unfinished cells of a study, and write its report.

    Args:
        study: The study, its keys and values, the name of a packaged study, or a YAML file.
        output: The study's folder; default: studies/NAME.
        sources: See `Sources`.
        on_end: See `OnEnd`.
        device: Device of the cells, as for `find_device`.
        reuse: Folder or folders of other studies from which the same cells are copied; see `reuse_cells`.

    Returns:
        The report's folder and the failed cells.

    Raises:
        UserError: For a device that is not there, an invalid study, a folder in other use, or a missing
            package.
    """
    from mlffm_segdiff.study.report import write_report

    if not isinstance(study, Study):
        study = load_study(study) if isinstance(study, str) else check_study(study, "run_study()")
    folder = StudyFolder.of(study.name, output)
    if sources:
        require_mapping("sources", sources, "{'isic2018': 'data/isic2018'}")
    given = {name: None if path is None else expanded(path) for name, path in (sources or {}).items()}
    others = [StudyFolder(expanded(path)) for path in ([reuse] if isinstance(reuse, str | Path) else reuse)]
    plan, launcher = start_study(study, folder, given, device, others)
    reuse_cells(plan, folder, others)
    for change in changes(plan, folder):
        LOG.warning(change)
    failures = run_cells(plan, folder, launcher, on_end)
    return StudyRun(folder.path, write_report(folder.path), failures)


def start_study(
    study: Study,
    folder: StudyFolder,
    sources: Sources,
    device: str = AUTO,
    others: Sequence[StudyFolder] = (),
) -> tuple[StudyPlan, Launcher]:
    """Check a whole study and those that it reuses, and write its plan.

    Args:
        study: Study to check.
        folder: Folder of the study, possibly with an earlier plan of it.
        sources: See `Sources`.
        device: Device of the cells, as for `find_device`.
        others: Folders of studies to reuse cells of.

    Returns:
        The plan, and the launcher that runs its cells.

    Raises:
        UserError: As `make_plan` and `save_plan` do, or if the launcher cannot run, this machine has no such
            device, the folder cannot be written, or one of ``others`` has no study.
    """
    check_studies(others)
    if study.launcher.name in HERE:
        find_device(device)
    require_writable_folder(folder.path)
    plan = make_plan(study, folder, sources, device)
    launcher = make_launcher(study.launcher, plan.threads)
    save_plan(plan, study, folder)
    return plan, launcher


def make_plan(study: Study, folder: StudyFolder, sources: Sources, device: str = AUTO) -> StudyPlan:
    """Check a whole study and return its plan. Writes nothing.

    A study keeps the number of threads and lists the packages that it was started with.

    Args:
        study: The study.
        folder: Folder of the study, possibly with an earlier plan of it.
        sources: See `Sources`.
        device: Device of the cells, as for `find_device`.

    Raises:
        UserError: As `make_cells` does; and for a folder in other use, or another number of threads.
    """
    before = previous_plan(folder, study.name)
    requested = study.launcher.threads
    if before is not None and requested not in (None, before.threads):
        raise UserError(
            f"{folder.path} was started with launcher.threads={before.threads}, on which the last digits of "
            "scores depend; leave it out, or choose another folder"
        )
    share = default_threads(processors()) // (study.launcher.workers or 1)
    return StudyPlan(
        name=study.name,
        baseline=study.baseline,
        part=study.part,
        evaluations=study.evaluations,
        threads=before.threads if before else requested or max(share, 1),
        packages=before.packages if before else package_versions(),
        cells=make_cells(study, sources),
        rank=study.rank,
        against={name: variant.against for name, variant in study.variants.items() if variant.against},
        device=device,
    )


def save_plan(plan: StudyPlan, study: Study, folder: StudyFolder) -> None:
    """Write study.yaml and plan.json. Raises UserError while another command uses the folder."""
    with folder.claimed():
        for loss in losses(plan, folder):
            LOG.warning(loss)
        write_plan(plan, folder.plan)  # first: it marks the folder as a study's
        write_text(folder.study, yaml.safe_dump(study.model_dump(mode="json"), sort_keys=False))
        for cell in plan.cells:  # a finished cell without a new evaluation is unfinished again
            place = folder.cell(cell.key)
            if place.finished.is_file() and not is_scored(cell, plan, place):
                place.finished.unlink()


def losses(plan: StudyPlan, folder: StudyFolder) -> list[str]:
    """List the losses of finished cells of a folder under a changed plan, in words.

    Args:
        plan: The new plan.
        folder: The study's folder, with the plan that it had before.
    """
    if not folder.plan.is_file():
        return []
    finished = [cell for cell in read_plan(folder.plan).cells if folder.cell(cell.key).finished.is_file()]
    requested = {cell.key: cell for cell in plan.cells}
    found = []
    if left_out := sum(cell.key not in requested for cell in finished):
        found.append(
            f"{left_out} finished cells of {folder.path} are not in this request; their files stay, and the "
            "earlier request includes them again"
        )
    places = {cell.key: folder.cell(cell.key) for cell in finished if cell.key in requested}
    stale = [place for key, place in places.items() if not is_scored(requested[key], plan, place)]
    if stale:
        without = sum(not place.trained.is_file() for place in stale)
        found.append(
            f"{len(stale)} finished cells of {folder.path} lack requested scores; those of another part or "
            f"with other settings are replaced, and the {without} without weights are trained again"
        )
    return found


def previous_plan(folder: StudyFolder, name: str) -> StudyPlan | None:
    """Return the plan in a folder, or None if the folder is empty or missing, or its plan is lost.

    Raises:
        UserError: If the folder is in other use, or has the plan of a study with another name.
    """
    if folder.plan.is_file():
        plan = read_plan(folder.plan)
        if plan.name != name:
            raise UserError(f"{folder.path} belongs to the study {plan.name!r}; choose another folder")
        return plan
    path = folder.path
    if not folder.study.is_file() and path.is_dir() and any(p.name[0] != "." for p in path.iterdir()):
        raise UserError(f"{path} is not empty and not a study; choose another folder")
    return None


def changes(plan: StudyPlan, folder: StudyFolder) -> list[str]:
    """List possible causes of changed scores: other package versions, and cells of other code or threads."""
    now = package_versions()
    found = [
        f"{name} was {old} when the study was started, now it is {now.get(name)}; scores may differ slightly"
        for name, old in plan.packages.items()
        if now.get(name) != old
    ]
    finished = [cell for cell in plan.cells if folder.cell(cell.key).finished.is_file()]
    accounts = [folder.cell(cell.key).account() for cell in finished]
    now_code = [code_of(cell.recipe) for cell in finished]
    for what, codes_of in (("trained", training_codes), ("scored", scoring_codes)):
        codes = map(codes_of, accounts)
        other = [own for own, code in zip(codes, now_code, strict=True) if own != {code}]
        if other:
            found.append(
                f"{len(other)} finished cells were {what} by other code than now "
                f"({', '.join(sorted(set().union(*other)))}); they are kept, and the report lists the code"
            )
    threads = [one["threads"] for one in accounts if one.get("threads", plan.threads) != plan.threads]
    if threads:  # of another study
        found.append(
            f"{len(threads)} finished cells were trained with other threads "
            f"({', '.join(map(str, sorted(set(threads))))}; here {plan.threads}), on which the last digits "
            "of scores depend; the report lists them"
        )
    return found


def _remove_stale_mark(place: CellFolder) -> None:
    """Remove running.json of a process that was killed, not of a job that still runs the cell."""
    if place.running.is_file():
        with suppress(Timeout), FileLock(place.guard, timeout=0):
            place.running.unlink(missing_ok=True)


def run_cells(
    plan: StudyPlan, folder: StudyFolder, launcher: Launcher, on_end: OnEnd | None = None
) -> dict[str, str]:
    """Run the unfinished cells, those whose last attempt failed at the end.

    Args:
        plan: The saved plan.
        folder: The study's folder.
        launcher: Launcher that runs the cells.
        on_end: See `OnEnd`.

    Returns:
        The error of each failed cell, by key. A cell counts as finished if its finished.json exists, whatever
        the launcher reports.

    Raises:
        UserError: While another command uses the folder, or if the launcher cannot run.
    """
    cells = {cell.key: cell for cell in plan.cells if not folder.cell(cell.key).finished.is_file()}
    failures: dict[str, str] = {}
    if not cells:
        return failures
    waiting = sorted(cells, key=lambda key: folder.cell(key).failed.is_file())
    with folder.claimed(), closing(launcher.launch(run_cell, folder.path, waiting)) as outcomes:
        if not cells.keys() <= {cell.key for cell in read_plan(folder.plan).cells}:
            raise UserError(
                f"{folder.path} has the plan of another command, started just now; wait until that has ended"
            )
        for key in waiting:
            _remove_stale_mark(folder.cell(key))
        for outcome in outcomes:
            place = folder.cell(outcome.key)
            error = None if place.finished.is_file() else outcome.error or "it ended without finished.json"
            if error is not None:
                failures[outcome.key] = error
                if not place.failed.is_file():
                    write_text(place.failed, f"{error}\n")
            if on_end is not None:
                on_end(cells[outcome.key], error)
    return failures
