"""One cell of a study: train, score, and say that it is finished. What every launcher calls."""

import json
import platform
import shutil
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from rich.console import Console

from mlffm_segdiff.config.errors import UserError
from mlffm_segdiff.data.atomic import atomic_write
from mlffm_segdiff.data.sources import load_split_cases, open_split
from mlffm_segdiff.evaluation.model import evaluate_model
from mlffm_segdiff.evaluation.report import SUMMARY_FILE, write_report
from mlffm_segdiff.segmenters.device import best_device
from mlffm_segdiff.segmenters.pretrained import load_pretrained
from mlffm_segdiff.study.cells import Cell, evaluation_sampling
from mlffm_segdiff.study.code_version import code_version
from mlffm_segdiff.study.folder import CellFolder, StudyFolder
from mlffm_segdiff.study.lock import StudyLock, read_lock
from mlffm_segdiff.training.callbacks import ConsoleProgress
from mlffm_segdiff.training.fit import resume, train
from mlffm_segdiff.training.run_folder import describe_environment


def run_cell(study: Path, key: str) -> None:
    """Train the cell with this key of the study in this folder, going on where it stopped, and score it.

    While another process runs it, this one waits; what is finished is not done again. Raises UserError for a
    cell that is not in study.lock, other code than planned, and data that are no longer those of its split.
    """
    folder = StudyFolder(study)
    lock = read_lock(folder.lock)
    cell, place = lock.cell(key), folder.cell(key)
    place.path.mkdir(parents=True, exist_ok=True)
    with FileLock(place.guard):
        lock = read_lock(folder.lock)  # another evaluation may have been planned while this waited
        scored = all(is_scored(cell, lock, place, name) for name in lock.evaluations)
        if not (scored and place.finished.is_file()):
            torch.set_num_threads(lock.threads)
            with _failure_written(place):
                _run(cell, lock, place)


def is_scored(cell: Cell, lock: StudyLock, place: CellFolder, evaluation: str) -> bool:
    """Return whether the cell has the scores of this evaluation as the study asks for it now."""
    try:
        summary = json.loads((place.scores(evaluation) / SUMMARY_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return all(summary.get(name) == value for name, value in _facts(cell, lock, evaluation).items())


@contextmanager
def _failure_written(place: CellFolder) -> Iterator[None]:
    place.failed.unlink(missing_ok=True)
    try:
        yield
    except Exception:
        with atomic_write(place.failed) as temporary:
            temporary.write_text(traceback.format_exc(), encoding="utf-8")
        raise


def _run(cell: Cell, lock: StudyLock, place: CellFolder) -> None:
    parts = load_split_cases(cell.recipe.data)
    if parts.digest != cell.split:
        raise UserError(
            f"the split of {cell.dataset} is {parts.digest}, not {cell.split} as planned; bring the data or "
            "the split list back, or run the study's command again"
        )
    if not place.trained.is_file():
        _train(cell, place)
    shutil.rmtree(place.run.checkpoints, ignore_errors=True)
    started = time.monotonic()
    unscored = [name for name in lock.evaluations if not is_scored(cell, lock, place, name)]
    if unscored:
        pretrained = load_pretrained(place.run.path, trust_code=True)
        device = best_device()
        segmenter = pretrained.segmenter.to(device).eval()
        pairs, cases = open_split(parts, lock.part, cell.recipe.data.size), parts.cases[lock.part]
        for name in unscored:
            sampling = evaluation_sampling(cell.recipe, lock.evaluations[name])
            found = evaluate_model(segmenter, pairs, cases, sampling, cell.recipe.train.batch_size, device)
            write_report(place.scores(name), list(found), _facts(cell, lock, name))
    _write(place.finished, _account(cell, place, time.monotonic() - started))


def _train(cell: Cell, place: CellFolder) -> None:
    if code_version() != cell.code:
        raise UserError(
            f"the code is now {code_version()}, not {cell.code} as planned; run the study's command again"
        )
    run = place.run
    begun = run.config.is_file()
    started = time.monotonic()
    with place.log.open("a", encoding="utf-8") as file:
        progress = [ConsoleProgress(Console(file=file, width=110))]
        if begun:
            run.write_config(cell.recipe)  # the data may lie elsewhere by now
            result = resume(run.path, progress)
        else:
            shutil.rmtree(run.path, ignore_errors=True)  # killed while it began
            result = train(cell.recipe, run.path, callbacks=progress)
    spent = {"seconds": time.monotonic() - started, "resumed": begun, "best_jaccard": result.best_jaccard}
    _write(place.trained, spent)


def _facts(cell: Cell, lock: StudyLock, evaluation: str) -> dict[str, object]:
    """Return what a summary says of how its scores came about; by it, those of another asking are known."""
    return {
        "cell": cell.key,
        "part": lock.part,
        "split": cell.split,
        "size": cell.recipe.data.size,
        "sampling": asdict(evaluation_sampling(cell.recipe, lock.evaluations[evaluation])),
    }


def _account(cell: Cell, place: CellFolder, evaluation_seconds: float) -> dict[str, object]:
    training: dict[str, Any] = json.loads(place.trained.read_text(encoding="utf-8"))
    settings = cell.recipe.train
    return {
        "seconds": training["seconds"] + evaluation_seconds,
        "training_seconds": training["seconds"],
        "evaluation_seconds": evaluation_seconds,
        "resumed": training["resumed"],
        "images": settings.steps * settings.batch_size,
        "best_validation_jaccard": training["best_jaccard"],
        "host": platform.node(),
        **describe_environment(cell.seed, cell.split),
    }


def _write(path: Path, values: Mapping[str, object]) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
