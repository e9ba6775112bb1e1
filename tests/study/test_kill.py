"""A study killed at any moment and called again ends as one that was never interrupted, bit for bit."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mlffm_segdiff.config.study import Study
from mlffm_segdiff.study.folder import StudyFolder
from mlffm_segdiff.study.lock import StudyLock, read_lock, write_lock
from mlffm_segdiff.study.study import open_tally, plan_study
from mlffm_segdiff.study.tally import Tally

RunHere = Callable[[StudyLock, StudyFolder], tuple[dict[str, str], Tally]]

SCRIPT = """
import os, signal, sys
from importlib import import_module
from pathlib import Path

import torch
from mlffm_segdiff.study.lock import read_lock
from mlffm_segdiff.study.run_cell import run_cell

study, module, name, count = Path(sys.argv[1]), *sys.argv[2:4], int(sys.argv[4])
*path, last = name.split(".")
owner = import_module(module)
for part in path:
    owner = getattr(owner, part)
kept, calls = getattr(owner, last), []

def deadly(*arguments, **named):
    calls.append(None)
    if len(calls) == count:
        os.kill(os.getpid(), signal.SIGKILL)
    return kept(*arguments, **named)

setattr(owner, last, deadly)
for cell in read_lock(study / "study.lock").cells:
    run_cell(study, cell.key)
"""
MOMENTS = {
    "in training": ("mlffm_segdiff.training.module", "SegmenterModule.on_validation_epoch_end", 2),
    "before weights are written": ("mlffm_segdiff.training.fit", "save_segmenter", 1),
    "before scores are written": ("mlffm_segdiff.study.run_cell", "write_report", 1),
    "before the next cell's run is told": ("mlffm_segdiff.training.run_folder", "RunFolder.write_config", 2),
    "in the last cell's training": ("mlffm_segdiff.training.module", "SegmenterModule.training_step", 5),
}


def killed(folder: StudyFolder, moment: str) -> None:
    module, name, count = MOMENTS[moment]
    command = [sys.executable, "-c", SCRIPT, str(folder.path), module, name, str(count)]
    assert subprocess.run(command, check=False, stderr=subprocess.PIPE).returncode == -signal.SIGKILL, moment


def result(folder: StudyFolder) -> dict[str, bytes]:
    """What must not depend on interruptions: weights, curves, scores."""
    kinds = ("weights/model.safetensors", "logs/metrics.csv", "cases.csv", "summary.json")
    return {
        str(path.relative_to(folder.path)): path.read_bytes()
        for path in sorted((folder.path / "cells").rglob("*"))
        if str(path).endswith(kinds)
    }


def test_a_cell_killed_in_training_goes_on_with_it(
    whole: StudyFolder, run_here: RunHere, tmp_path: Path
) -> None:
    lock, folder = read_lock(whole.lock), StudyFolder(tmp_path / "killed")
    alone = replace(lock, cells=lock.cells[:1])
    place = folder.cell(lock.cells[0].key)
    write_lock(alone, folder.lock)
    killed(folder, "in training")
    assert place.run.last.is_file()
    assert not place.trained.exists()
    failures, _ = run_here(alone, folder)
    assert failures == {}
    assert json.loads(place.finished.read_text())["resumed"]
    found, expected = result(folder), result(whole)
    assert len(found) == 4
    assert {name: expected[name] for name in found} == found


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_study_killed_again_and_again_gives_the_same_results(
    whole: StudyFolder, make_study: Callable[..., Study], run_here: RunHere, tmp_path: Path
) -> None:
    folder = StudyFolder(tmp_path / "killed")
    for moment in MOMENTS:
        plan_study(make_study(), "ablation", folder, {}, threads=1)
        killed(folder, moment)
    lock = plan_study(make_study(), "ablation", folder, {}, threads=1)
    assert open_tally(lock, folder).count("done") == 3
    failures, tally = run_here(lock, folder)
    assert (failures, tally.count("done")) == ({}, 4)
    assert folder.lock.read_bytes() == whole.lock.read_bytes()
    assert len(result(folder)) == 16
    assert result(folder) == result(whole)
