"""Runs one cell of a study: training, then scoring. Every launcher calls `run_cell`."""

import json
import platform
import shutil
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from rich.console import Console

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.config.schema import SamplingConfig
from mlffm_segdiff.data.sources import SplitCases, load_split_cases, open_split
from mlffm_segdiff.evaluation.model import evaluate_model
from mlffm_segdiff.evaluation.report import CASES_FILE, SUMMARY_FILE, write_report
from mlffm_segdiff.files.atomic import atomic_folder, sweep_unfinished, write_text
from mlffm_segdiff.segmenters.device import find_device
from mlffm_segdiff.segmenters.pretrained import load_pretrained
from mlffm_segdiff.study.cells import Cell, evaluation_sampling
from mlffm_segdiff.study.code_version import code_of
from mlffm_segdiff.study.plan import StudyPlan, read_plan
from mlffm_segdiff.study.stopwatch import Stopwatch
from mlffm_segdiff.study.study_folder import CellFolder, StudyFolder
from mlffm_segdiff.training.callbacks import ConsoleProgress
from mlffm_segdiff.training.fit import resume, train


def run_cell(study: Path, key: str) -> None:
    """Train and score one cell, resuming where an earlier attempt stopped.

    Waits while another process runs the same cell. Skips finished work.

    Args:
        study: Folder of the study.
        key: Key of the cell.

    Raises:
        UserError: If the cell is not in the plan, or the data no longer have the planned split.
    """
    folder = StudyFolder(study)
    place = folder.cell(read_plan(folder.plan).cell(key).key)
    place.path.mkdir(parents=True, exist_ok=True)
    with FileLock(place.guard):
        sweep_unfinished(place.path)
        plan = read_plan(folder.plan)  # the study may have been planned again while this waited
        cell = plan.cell(place.path.name)
        if not (place.finished.is_file() and is_scored(cell, plan, place)):
            torch.set_num_threads(plan.threads)
            with _status_files(place):
                _train_and_score(cell, plan, place)


def is_scored(cell: Cell, plan: StudyPlan, place: CellFolder) -> bool:
    """Return whether the cell has the scores of every evaluation as the plan defines it now."""
    return not _missing_evaluations(cell, plan, place)


def _missing_evaluations(cell: Cell, plan: StudyPlan, place: CellFolder) -> list[str]:
    return [name for name in plan.evaluations if not _has_evaluation(cell, plan, place, name)]


def _has_evaluation(cell: Cell, plan: StudyPlan, place: CellFolder, evaluation: str) -> bool:
    scores = place.scores(evaluation)
    try:
        summary = json.loads((scores / SUMMARY_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    sampling = summary.get("sampling") if isinstance(summary, dict) else None
    if not isinstance(sampling, dict) or not (scores / CASES_FILE).is_file():
        return False
    since_added = SamplingConfig().model_dump()  # settings that an earlier version did not have
    found = summary | {"sampling": since_added | sampling}
    return all(found.get(name) == value for name, value in _provenance(cell, plan, evaluation).items())


@contextmanager
def _status_files(place: CellFolder) -> Iterator[None]:
    """Keep running.json while the block runs, and write failed.txt if it fails."""
    place.failed.unlink(missing_ok=True)
    _write(place.running, {"host": platform.node(), "since": datetime.now(UTC).isoformat("T", "seconds")})
    try:
        yield
    except Exception:
        write_text(place.failed, traceback.format_exc())
        raise
    finally:
        place.running.unlink(missing_ok=True)


def _train_and_score(cell: Cell, plan: StudyPlan, place: CellFolder) -> None:
    parts = load_split_cases(cell.recipe.data)
    if parts.digest != cell.split:
        raise UserError(
            f"the split of {cell.dataset} is {parts.digest}, not {cell.split} as planned; restore the data "
            "or the split list, or run the study's command again"
        )
    if not place.trained.is_file():
        _train(cell, plan, place)
    shutil.rmtree(place.run.checkpoints, ignore_errors=True)
    _score(cell, plan, place, parts)
    _write(place.finished, _account(cell, plan, place))


def _train(cell: Cell, plan: StudyPlan, place: CellFolder) -> None:
    run, stopwatch = place.run, Stopwatch()
    resumed = run.config.is_file()
    with place.log.open("a", encoding="utf-8") as file:
        progress = [ConsoleProgress(Console(file=file, width=110)), stopwatch]
        if resumed:
            run.write_config(cell.recipe)  # the data may have moved
            result = resume(run.path, progress, plan.device)
        else:
            shutil.rmtree(run.path, ignore_errors=True)  # a killed process may have left it incomplete
            shutil.rmtree(place.all_scores, ignore_errors=True)  # of weights that are not here
            result = train(cell.recipe, run.path, callbacks=progress, device=plan.device)
    values = {
        "seconds": stopwatch.seconds,
        "resumed": resumed,
        "best_jaccard": result.best_jaccard,
        "code": code_of(cell.recipe),
    }
    _write(place.trained, values)


def _score(cell: Cell, plan: StudyPlan, place: CellFolder, parts: SplitCases) -> None:
    missing = _missing_evaluations(cell, plan, place)
    if not missing:
        return
    device = find_device(plan.device)
    segmenter = load_pretrained(place.run.path, trust_code=True).segmenter.to(device).eval()
    pairs, cases = open_split(parts, plan.part, cell.recipe.data.size), parts.cases[plan.part]
    for name in missing:
        started, scores = time.monotonic(), place.scores(name)
        sampling = evaluation_sampling(cell.recipe, plan.evaluations[name])
        found = list(evaluate_model(segmenter, pairs, cases, sampling, cell.recipe.train.batch_size, device))
        with atomic_folder(scores) as building:
            write_report(building, found, _provenance(cell, plan, name))
            record = {"seconds": time.monotonic() - started, "code": code_of(cell.recipe)}
            _write(building / place.scored(name).name, record)
            if scores.exists():  # of other settings, or unfinished
                shutil.rmtree(scores)


def _provenance(cell: Cell, plan: StudyPlan, evaluation: str) -> dict[str, object]:
    """Return the origin recorded in summary.json, to recognise scores of other settings."""
    return {
        "cell": cell.key,
        "part": plan.part,
        "split": cell.split,
        "size": cell.recipe.data.size,
        "sampling": evaluation_sampling(cell.recipe, plan.evaluations[evaluation]).model_dump(),
    }


def _account(cell: Cell, plan: StudyPlan, place: CellFolder) -> dict[str, object]:
    """Return the content of finished.json: times, code, and the environment at the start of the training."""
    training: dict[str, Any] = json.loads(place.trained.read_text(encoding="utf-8"))
    evaluations = {name: _scoring_record(place.scored(name)) for name in plan.evaluations}
    evaluation_seconds = sum(one["seconds"] for one in evaluations.values())
    settings = cell.recipe.train
    return {
        "seconds": training["seconds"] + evaluation_seconds,
        "training_seconds": training["seconds"],
        "evaluation_seconds": evaluation_seconds,
        "resumed": training["resumed"],
        "images": settings.steps * settings.batch_size,
        "best_validation_jaccard": training["best_jaccard"],
        "training_code": training["code"],
        "evaluations": evaluations,
        **place.run.started_in(),
    }


def _scoring_record(path: Path) -> dict[str, Any]:
    """Read scored.json; scores of earlier versions lack it."""
    if not path.is_file():
        return {"seconds": 0.0, "code": "unknown"}
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return record


def _write(path: Path, values: Mapping[str, object]) -> None:
    write_text(path, json.dumps(values, indent=1) + "\n")
